"""The asynchronous Python client through the sidecar: prints what it saw (see ../programs.py)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from importlib import metadata
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch

from tests.end_to_end.clients.python import observing
from tests.end_to_end.clients.python.observing import FOX


async def failure(call: Awaitable[Any]) -> dict[str, Any]:
    try:
        await call
    except ApiError as raised:
        return observing.error(raised)
    return {}


async def documents(client: AsyncElasticsearch, index: str) -> dict[str, Any]:
    indexed = await client.index(index=index, id="1", document={"title": "one", "n": 1}, refresh=True)
    source = (await client.get(index=index, id="1"))["_source"]
    bulk = observing.bulk(await client.bulk(index=index, operations=observing.OPERATIONS, refresh=True))
    count = (await client.count(index=index))["count"]
    deleted = (await client.delete(index=index, id="1"))["result"]
    return {"index": indexed["result"], "source": source, "bulk": bulk, "count": count, "delete": deleted}


async def scroll(client: AsyncElasticsearch) -> dict[str, Any]:
    answer = await client.search(index="articles", query=FOX, size=120, scroll="1m")
    first, found = observing.outcome(answer), observing.ids(answer)
    while answer["hits"]["hits"]:
        answer = await client.scroll(scroll_id=answer["_scroll_id"], scroll="1m")
        found += observing.ids(answer)
    cleared = await client.clear_scroll(scroll_id=answer["_scroll_id"])
    return {"outcome": first, "ids": found, "cleared": cleared["succeeded"]}


async def point_in_time(client: AsyncElasticsearch) -> dict[str, Any]:
    pit = (await client.open_point_in_time(index="articles", keep_alive="1m"))["id"]
    found = observing.page(await client.search(pit={"id": pit, "keep_alive": "1m"}, query=FOX, size=10))
    closed = (await client.close_point_in_time(id=pit))["succeeded"]
    afterwards = await failure(client.search(pit={"id": pit}, query=FOX))
    return {"search": found, "closed": closed, "afterwards": afterwards}


async def errors(client: AsyncElasticsearch, unreachable: AsyncElasticsearch) -> dict[str, Any]:
    override = {"rescore": {"window_size": "ten"}}
    return {
        "missing_index": await failure(client.search(index="missing", query=FOX)),
        "malformed_query": await failure(client.search(index="articles", query={"nope": {}})),
        "bad_override": await failure(client.search(index="articles", query=FOX, ext=override)),
        "unreachable": await failure(unreachable.search(index="articles", query=FOX)),
    }


async def search(client: AsyncElasticsearch) -> dict[str, Any]:
    return observing.page(await client.search(index="articles", query=FOX, size=20, ext=observing.NARROW))


async def features(client: AsyncElasticsearch) -> dict[str, Any]:
    return observing.features(await client.search(index="articles", **observing.FEATURES))


async def msearch(client: AsyncElasticsearch) -> dict[str, Any]:
    return observing.searches(await client.msearch(searches=observing.SEARCHES))


async def attempt(part: Awaitable[Any]) -> Any:
    try:
        return await part
    except Exception as raised:
        return {"raised": repr(raised)}


async def main(url: str, unreachable_url: str, index: str) -> None:
    async with AsyncElasticsearch(url) as client, AsyncElasticsearch(unreachable_url) as unreachable:
        seen = {
            "version": metadata.version("elasticsearch"),
            "documents": await attempt(documents(client, index)),
            "search": await attempt(search(client)),
            "features": await attempt(features(client)),
            "msearch": await attempt(msearch(client)),
            "scroll": await attempt(scroll(client)),
            "pit": await attempt(point_in_time(client)),
            "errors": await attempt(errors(client, unreachable)),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
