// The JavaScript client through the sidecar: prints what it saw (see ../programs.py).
import { readFileSync } from 'node:fs'
import { Client, errors } from '@elastic/elasticsearch'

const query = { match: { title: 'fox' } }
const meta = { meta: true } // answers with their headers

const ids = body => body.hits.hits.map(hit => hit._id)
const outcome = answer => answer.headers['x-rescore']

async function failure (call) {
  try {
    await call
    return {}
  } catch (raised) {
    if (!(raised instanceof errors.ResponseError)) throw raised
    return { exception: raised.name, status: raised.statusCode, type: raised.body.error.type }
  }
}

function page (answer) {
  const { total, max_score, hits } = answer.body.hits
  const seen = hits.map(hit => ({ id: hit._id, score: hit._score, source: hit._source }))
  return { outcome: outcome(answer), total, max_score, hits: seen }
}

async function search (client) {
  const ext = { rescore: { window_size: 50 } }
  return page(await client.search({ index: 'articles', query, size: 20, ext }, meta))
}

async function documents (client, index) {
  const indexed = await client.index({ index, id: '1', document: { title: 'one', n: 1 }, refresh: true })
  const { _source: source } = await client.get({ index, id: '1' })
  const operations = [
    { index: { _id: '2' } }, { title: 'two', n: 2 },
    { index: { _id: '3' } }, { title: 'three', n: 3 },
    { create: { _id: '1' } }, { title: 'again', n: 1 }
  ]
  const bulk = await client.bulk({ index, operations, refresh: true })
  const items = bulk.items.map(item => Object.values(item)[0])
  const { count } = await client.count({ index })
  const deleted = await client.delete({ index, id: '1' })
  return {
    index: indexed.result,
    source,
    bulk: { errors: bulk.errors, items: items.map(item => [item.status, item.error?.type ?? null]) },
    count,
    delete: deleted.result
  }
}

async function features (client) {
  const body = await client.search({
    index: 'articles',
    query,
    size: 3,
    aggregations: { tags: { terms: { field: 'tag' } } },
    highlight: { fields: { title: {} } },
    suggest: { spelling: { text: 'foxx', term: { field: 'title' } } },
    explain: true,
    profile: true,
    ext: { rescore: { explain: true } }
  })
  const hits = body.hits.hits
  return {
    ids: ids(body),
    tags: Object.fromEntries(body.aggregations.tags.buckets.map(bucket => [bucket.key, bucket.doc_count])),
    suggested: body.suggest.spelling[0].options.map(option => option.text),
    profiled: body.profile.shards.length,
    highlights: hits.map(hit => hit.highlight.title),
    explained: hits.map(hit => hit._explanation.value),
    explanations: hits.map(hit => hit._explanation.description),
    first_stage_ranks: hits.map(hit => hit.fields['_rescore.first_stage_rank'])
  }
}

async function msearch (client) {
  const searches = [
    { index: 'articles' }, { query, size: 5 },
    { index: 'missing' }, { query },
    { index: 'articles' }, { query, size: 2 }
  ]
  const answer = await client.msearch({ searches }, meta)
  const items = answer.body.responses.map(item =>
    'error' in item ? { status: item.status, type: item.error.type } : ids(item))
  return { outcome: outcome(answer), items }
}

async function scroll (client) {
  const answer = await client.search({ index: 'articles', query, size: 120, scroll: '1m' }, meta)
  let { body } = answer
  const found = ids(body)
  while (body.hits.hits.length > 0) {
    body = await client.scroll({ scroll_id: body._scroll_id, scroll: '1m' })
    found.push(...ids(body))
  }
  const cleared = await client.clearScroll({ scroll_id: body._scroll_id })
  return { outcome: outcome(answer), ids: found, cleared: cleared.succeeded }
}

async function pointInTime (client) {
  const { id } = await client.openPointInTime({ index: 'articles', keep_alive: '1m' })
  const found = await client.search({ pit: { id, keep_alive: '1m' }, query, size: 10 }, meta)
  const closed = await client.closePointInTime({ id })
  const afterwards = await failure(client.search({ pit: { id }, query }))
  return { search: page(found), closed: closed.succeeded, afterwards }
}

async function failures (client, unreachable) {
  const override = { rescore: { window_size: 'ten' } }
  return {
    missing_index: await failure(client.search({ index: 'missing', query })),
    malformed_query: await failure(client.search({ index: 'articles', query: { nope: {} } })),
    bad_override: await failure(client.search({ index: 'articles', query, ext: override })),
    unreachable: await failure(unreachable.search({ index: 'articles', query }))
  }
}

function version () {
  const file = new URL('node_modules/@elastic/elasticsearch/package.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}

async function attempt (part) {
  try {
    return await part
  } catch (raised) {
    return { raised: raised.stack }
  }
}

const [url, unreachableUrl, index] = process.argv.slice(2)
const client = new Client({ node: url })
const unreachable = new Client({ node: unreachableUrl })
console.log(JSON.stringify({
  version: version(),
  documents: await attempt(documents(client, index)),
  search: await attempt(search(client)),
  features: await attempt(features(client)),
  msearch: await attempt(msearch(client)),
  scroll: await attempt(scroll(client)),
  pit: await attempt(pointInTime(client)),
  errors: await attempt(failures(client, unreachable))
}))
await client.close()
await unreachable.close()
