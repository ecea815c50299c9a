"""Documents that Elasticsearch stores and returns though they are not quite JSON: none may switch rescoring off."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.elasticsearch.json_bytes import elements, members, whole
from sidecar.elasticsearch.lenient_json import decode
from tests.end_to_end.conftest import Background, config, connect
from tests.end_to_end.test_msearch import ndjson
from tests.end_to_end.test_search import raw

INDEX = "oddities"
ODD: list[bytes] = [
    rb'{"title":"fox \ud83d den"}',
    rb'{"title":"fox","odd":{"\ud83d":1,"\ud83e":"\ude00"}}',
    b'{"title":"fox \xed\xa0\xbd den"}',
    b'{"title":"fox \xc0\x80 \xc1\x81 den"}',
    b'{"title":"fox" /* " } */, "odd":{"a":1} // ]\n}',
    b'\xef\xbb\xbf{"title":"fox mark"}',
    b'{"title":"fox","odd":{"a":1e400,"b":-0,"c":-0.0,"d":' + b"9" * 900 + b"}}",
    b'{"title":"fox deep","odd":' + b'{"a":' * 950 + b"1" + b"}" * 950 + b"}",
    rb'{"title":"fox \u0000\u0001 den","odd":{"a\u0000":"\uffff"}}',
]
REWRITTEN = [str(3 * 3 + 1), str(3 * 6 + 1)]  # overlong UTF-8 and numbers: filtered, Elasticsearch spells them anew
PLAIN = 30
QUERY = {"match": {"title": "fox"}}


@pytest.fixture(scope="module")
def url(elasticsearch_url: str) -> Iterator[str]:
    """A sidecar with a window in the middle of which odd documents are."""
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=INDEX, ignore_unavailable=True)
        properties = {"title": {"type": "text"}, "odd": {"type": "object", "enabled": False}}
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        client.indices.create(index=INDEX, settings=settings, mappings={"properties": properties})
    documents = [b'{"title":"fox %d"}' % n for n in range(PLAIN)]
    for n, document in enumerate(ODD):
        documents.insert(3 * n + 1, document)
    for n, document in enumerate(documents):
        assert put(elasticsearch_url, f"/{INDEX}/_doc/{n}?refresh=true", document) == 201, document
    settings_ = config(elasticsearch_url, Path("bundled"))
    mapping = settings_.indices["articles"].model_copy(update={"window_size": 25})
    background = Background(settings_.model_copy(update={"indices": {INDEX: mapping}}))
    yield background.start()
    background.stop()
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=INDEX)


def put(url: str, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("PUT", path, body, {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def sources(answer: bytes) -> list[bytes]:
    """Return the sources of the hits, byte for byte."""
    hits = members(answer, members(answer, whole(answer))["hits"])["hits"]
    return [members(answer, hit)["_source"].of(answer) for hit in elements(answer, hits)]


@pytest.mark.parametrize("size", [4, 7, 39])
def test_one_document_cannot_switch_rescoring_off(url: str, elasticsearch_url: str, size: int) -> None:
    found: list[bytes] = []
    for start in range(0, PLAIN + len(ODD), size):
        body = json.dumps({"query": QUERY, "from": start, "size": size}).encode()
        status, headers, answer = raw(url, f"/{INDEX}/_search", body)
        outcome = "reranked; window=25" if start < 25 else "passed; reason=beyond_window"
        assert (status, headers["X-Rescore"][: len(outcome)]) == (200, outcome)
        found += sources(answer)
    body = json.dumps({"query": QUERY, "size": 100}).encode()
    direct = sources(raw(elasticsearch_url, f"/{INDEX}/_search", body)[2])
    assert len(direct) == PLAIN + len(ODD)
    assert sorted(found[:25]) == sorted(direct[:25])
    assert found[:25] != direct[:25]
    assert found[25:] == direct[25:]


def normal(answer: bytes) -> list[str]:
    """Return the hits in an order of their own; where Elasticsearch filters a document, it writes it anew."""
    found = decode(answer)["hits"]["hits"]
    return sorted(json.dumps({name: value for name, value in hit.items() if name != "_score"}) for hit in found)


@pytest.mark.parametrize("filters", ["hits.hits._source.**", "hits.hits,-hits.hits._source.odd.a", "-took,-hits.**.b"])
def test_filters_apply_to_odd_documents(url: str, elasticsearch_url: str, filters: str) -> None:
    body = json.dumps(
        {"query": {"bool": {"must": QUERY, "must_not": {"ids": {"values": REWRITTEN}}}}, "size": 100}
    ).encode()
    path = f"/{INDEX}/_search?filter_path={filters},-hits.max_score"
    status, headers, answer = raw(url, path, body)
    assert (status, headers["X-Rescore"][:8]) == (200, "reranked")
    assert normal(answer) == normal(raw(elasticsearch_url, path, body)[2])


@pytest.mark.parametrize("text", [rb"\ud83d fox", rb"\ude00 fox \ud83d\ude00", b"\xed\xa0\xbd fox"])
def test_a_query_with_half_a_pair_is_a_query(url: str, elasticsearch_url: str, text: bytes) -> None:
    body = (
        b'{"query":{"match":{"title":"%s"}},"aggs":{"\\ud83d":{"terms":{"field":"_index"}}},"ext":{"rescore":{}}}'
        % text
    )
    status, headers, answer = raw(url, f"/{INDEX}/_search", body)
    assert (status, headers["X-Rescore"][:8]) == (200, "reranked")
    plain = raw(elasticsearch_url, f"/{INDEX}/_search?size=25", body.replace(b',"ext":{"rescore":{}}', b""))[2]
    assert set(sources(answer)) <= set(sources(plain))
    both = ndjson({"index": INDEX}) + body + b"\n" + ndjson({"index": INDEX}, {"query": QUERY})
    assert raw(url, "/_msearch", both)[1]["X-Rescore"] == "reranked; reranked=2; passed=0; failed=0"
