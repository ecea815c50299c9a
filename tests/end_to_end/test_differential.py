"""What is not rescored is answered as Elasticsearch answers it: status, headers and body, call by call.

Each call is made twice, straight to the node and through the sidecar, on two indices of equal content whose
names differ in one letter. What no two calls share (times, ids that Elasticsearch makes up) is set aside by name.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import zstandard
from elasticsearch import Elasticsearch

_JSON = {"Content-Type": "application/json"}
_NDJSON = {"Content-Type": "application/x-ndjson"}
_V9 = "application/vnd.elasticsearch+json; compatible-with=9"
_VOLATILE = [
    rb'"took": ?\d+',
    rb"took: \d+",
    rb'"(?:creation_date|uuid|index_uuid|_scroll_id|timestamp|[a-z_]*time_in_millis|[a-z_]*millis|version_uuid)":"?[^",}]*"?',
    rb'"id":"[\w=+/-]{40,}"',
    rb'"task":"[^"]*"',
    rb'"(?:start_time|start_time_in_nanos|running_time_in_nanos|task_id)":"?[^",}]*"?',
    rb'"[a-z_]*_in_(?:nanos|bytes)":\d+',
    rb"time_in_nanos: \d+",
    rb"\[[^\]/]*/[\w-]{22}\]",  # an index and its uuid
]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "x-rescore", "date"}


@dataclass(frozen=True)
class Call:
    """One API call; ``{i}`` in target and body is the index."""

    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def _get(target: str, **headers: str) -> Call:
    return Call("GET", target, b"", {name.replace("_", "-"): value for name, value in headers.items()})


def _json(method: str, target: str, body: object, **headers: str) -> Call:
    sent = json.dumps(body).encode()
    return Call(method, target, sent, _JSON | {name.replace("_", "-"): value for name, value in headers.items()})


_MATCH = {"query": {"match": {"t": "fox"}}}
_BULK = b'{"index":{"_id":"%s"}}\n{"t":"bulk"}\n'

CALLS = {
    # the cluster
    "info": _get("/"),
    "info pretty": _get("/?pretty"),
    "info human": _get("/?human&pretty=true"),
    "head": Call("HEAD", "/"),
    "health": _get("/_cluster/health/{i}"),
    "health yaml": _get("/_cluster/health/{i}?format=yaml"),
    "cluster settings": _get("/_cluster/settings?flat_settings"),
    "cat indices": _get("/_cat/indices/{i}?h=index,docs.count&s=index"),
    "cat indices json": _get("/_cat/indices/{i}?h=index,docs.count&format=json"),
    "cat help": _get("/_cat"),
    "cat aliases": _get("/_cat/aliases?v"),
    "cat yaml": _get("/_cat/count/{i}?h=count", Accept="application/yaml"),
    "nodes": _get("/_nodes/http?filter_path=_nodes"),
    "license": _get("/_license"),
    "xpack": _get("/_xpack"),
    "security": _get("/_security/_authenticate"),
    # indices
    "index": _get("/{i}"),
    "index exists": Call("HEAD", "/{i}"),
    "index absent": Call("HEAD", "/absent"),
    "index of absent": _get("/absent"),
    "mapping": _get("/{i}/_mapping"),
    "field mapping": _get("/{i}/_mapping/field/t"),
    "settings": _get("/{i}/_settings/index.number*"),
    "put settings": _json("PUT", "/{i}/_settings", {"index": {"refresh_interval": "5s"}}),
    "put mapping": _json("PUT", "/{i}/_mapping", {"properties": {"extra": {"type": "keyword"}}}),
    "put mapping wrong": _json("PUT", "/{i}/_mapping", {"properties": {"extra": {"type": "nope"}}}),
    "create existing": Call("PUT", "/{i}"),
    "create wrong name": Call("PUT", "/_BAD_"),
    "refresh": Call("POST", "/{i}/_refresh"),
    "flush": Call("POST", "/{i}/_flush"),
    "stats": _get("/{i}/_stats/docs?filter_path=_all.primaries.docs.count"),
    "alias put": Call("PUT", "/{i}/_alias/alias-{i}"),
    "alias get": _get("/{i}/_alias"),
    "alias exists not": Call("HEAD", "/_alias/none"),
    "resolve": _get("/_resolve/index/{i}"),
    "analyze": _json("POST", "/{i}/_analyze", {"field": "t", "text": "The Quick-Fox"}),
    "index template": _json(
        "PUT", "/_index_template/tpl-{i}", {"index_patterns": ["tpl-{i}-*"], "template": {}, "priority": 1}
    ),
    "index template get": _get("/_index_template/none"),
    "open": Call("POST", "/{i}/_open"),
    "field caps": _get("/{i}/_field_caps?fields=t"),
    # documents
    "doc": _get("/{i}/_doc/1"),
    "doc absent": _get("/{i}/_doc/absent"),
    "doc exists": Call("HEAD", "/{i}/_doc/1"),
    "doc exists not": Call("HEAD", "/{i}/_doc/absent"),
    "doc encoded": _get("/{i}/_doc/%31?realtime=true&_source=t"),
    "source": _get("/{i}/_source/1"),
    "source absent": _get("/{i}/_source/absent"),
    "source pretty": _get("/{i}/_source/1?pretty"),
    "index doc": _json("PUT", "/{i}/_doc/new", {"t": "new"}),
    "index doc conflict": _json("PUT", "/{i}/_create/1", {"t": "new"}),
    "index doc no body": Call("PUT", "/{i}/_doc/none", b"", _JSON),
    "index doc no type": Call("PUT", "/{i}/_doc/none", b'{"t":1}'),
    "index doc broken": Call("PUT", "/{i}/_doc/none", b'{"t":', _JSON),
    "index doc duplicate keys": Call("PUT", "/{i}/_doc/none", b'{"t":"a","t":"b"}', _JSON),
    "index doc text/plain": Call("PUT", "/{i}/_doc/none", b'{"t":"a"}', {"Content-Type": "text/plain"}),
    "index doc cbor": Call("PUT", "/{i}/_doc/cbor", b"\xa1\x61t\x63fox", {"Content-Type": "application/cbor"}),
    "index doc yaml": Call("PUT", "/{i}/_doc/yaml", b"---\nt: fox\n", {"Content-Type": "application/yaml"}),
    "index doc smile": Call(
        "PUT", "/{i}/_doc/smile", b":)\n\x00\xfa\x80t\x42fox\xfb", {"Content-Type": "application/smile"}
    ),
    "index doc gzip": Call("PUT", "/{i}/_doc/gz", gzip.compress(b'{"t":"z"}'), _JSON | {"Content-Encoding": "gzip"}),
    "index doc not gzip": Call("PUT", "/{i}/_doc/gz", b'{"t":"z"}', _JSON | {"Content-Encoding": "gzip"}),
    "update": _json("POST", "/{i}/_update/2", {"doc": {"t": "fox two"}, "detect_noop": False}),
    "update absent": _json("POST", "/{i}/_update/absent", {"doc": {"t": "x"}}),
    "delete": Call("DELETE", "/{i}/_doc/3"),
    "delete absent": Call("DELETE", "/{i}/_doc/absent"),
    "mget": _json("POST", "/{i}/_mget", {"ids": ["1", "absent"]}),
    "termvectors": _get("/{i}/_termvectors/1?fields=t"),
    "bulk": Call("POST", "/{i}/_bulk?refresh=true", _BULK % b"b1" + _BULK % b"b2", _NDJSON),
    "bulk with errors": Call("POST", "/{i}/_bulk", b'{"create":{"_id":"1"}}\n{"t":"x"}\n', _NDJSON),
    "bulk without last newline": Call("POST", "/{i}/_bulk", b'{"index":{}}\n{"t":"x"}', _NDJSON),
    "bulk gzip": Call("PUT", "/{i}/_bulk", gzip.compress(_BULK % b"b3"), _NDJSON | {"Content-Encoding": "gzip"}),
    "delete by query": _json("POST", "/{i}/_delete_by_query?refresh", {"query": {"ids": {"values": ["none"]}}}),
    # searches on an index that is not mapped, and what is like a search
    "search": _json("POST", "/{i}/_search", _MATCH),
    "search get body": _json("GET", "/{i}/_search", _MATCH),
    "search q": _get("/{i}/_search?q=t:fox&size=1"),
    "search encoded": _get("/{i}/%5Fsearch?q=fox"),
    "search double slash": _get("//{i}/_search?q=fox"),
    "search trailing slash": _get("/{i}/_search/?q=fox"),
    "search encoded slash": _get("/{i}%2f_search?q=fox"),
    "search with a question mark": _get("/{i}/_search?"),
    "search dots": _get("/x/../{i}/_search"),
    "search absent": _json("POST", "/absent/_search", _MATCH),
    "search parse error": _json("POST", "/{i}/_search", {"query": {"nope": {}}}),
    "search error trace": _json("POST", "/{i}/_search?error_trace=false", {"size": -2}),
    "search unknown parameter": _json("POST", "/{i}/_search?nope=1", _MATCH),
    "search comments": Call("POST", "/{i}/_search", b'/* all */ {"query":{"match_all":{}}}', _JSON),
    "search bom": Call("POST", "/{i}/_search", b'\xef\xbb\xbf{"size":1}', _JSON),
    "search utf-16": Call("POST", "/{i}/_search", '{"size":1}'.encode("utf-16-le"), _JSON),
    "search vendor types": _json("POST", "/{i}/_search", _MATCH, Content_Type=_V9, Accept=_V9),
    "search mixed versions": _json("POST", "/{i}/_search", _MATCH, Content_Type=_V9, Accept=_V9.replace("9", "8")),
    "search cbor": _json("POST", "/{i}/_search?filter_path=hits.hits._id", _MATCH, Accept="application/cbor"),
    "search smile": _json("POST", "/{i}/_search?filter_path=hits.hits._id", _MATCH, Accept="application/smile"),
    "search yaml": _json("POST", "/{i}/_search?format=yaml", _MATCH),
    "search filter_path": _json("POST", "/{i}/_search?filter_path=-took,hits.hits._source", _MATCH),
    "search gzip answer": _json("POST", "/{i}/_search?filter_path=hits.hits", _MATCH, Accept_Encoding="gzip"),
    "search zstd body": Call(
        "POST", "/{i}/_search", zstandard.compress(b'{"size":1}'), _JSON | {"Content-Encoding": "zstd"}
    ),
    "search source parameter": _get("/{i}/_search?source=%7B%22size%22%3A1%7D&source_content_type=application%2Fjson"),
    "search opaque id": _json(
        "POST", "/{i}/_search", _MATCH, X_Opaque_Id="mine", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    ),
    "search basic credentials": _json(
        "POST", "/{i}/_search", _MATCH, Authorization="Basic " + base64.b64encode(b"a:b").decode()
    ),
    "search scroll": _json("POST", "/{i}/_search?scroll=1m", _MATCH),
    "scroll wrong": _json("POST", "/_search/scroll", {"scroll_id": "bm9uZQ=="}),
    "msearch": Call("POST", "/{i}/_msearch", b'{}\n{"query":{"match_all":{}}}\n{"index":"absent"}\n{}\n', _NDJSON),
    "pit": Call("POST", "/{i}/_pit?keep_alive=1m"),
    "pit close wrong": _json("DELETE", "/_pit", {"id": "none"}),
    "count": _json("POST", "/{i}/_count", _MATCH),
    "count q": _get("/{i}/_count?q=fox"),
    "explain": _json("POST", "/{i}/_explain/1", _MATCH),
    "validate": _json("POST", "/{i}/_validate/query?explain", _MATCH),
    "search shards": _get("/{i}/_search_shards?filter_path=indices"),
    "rank eval": _json("POST", "/{i}/_rank_eval", {"requests": [], "metric": {"precision": {"k": 1}}}),
    "async search": _json("POST", "/{i}/_async_search", _MATCH),
    "knn search": _json("POST", "/{i}/_knn_search", {}),
    "search template": _json("POST", "/{i}/_search/template", {"source": "{}"}),
    # what Elasticsearch does not know
    "no handler": _get("/{i}/_nope"),
    "wrong method": Call("DELETE", "/{i}/_search"),
    "patch": Call("PATCH", "/{i}"),
    "options": Call("OPTIONS", "/{i}/_doc/1"),
    "duplicate parameters": _get("/{i}/_count?q=fox&q=dog"),
    "odd characters": _get("/{i}/_doc/%E4%BD%A0%20%2B+a;b"),
    "control character": _get("/{i}/_doc/%00"),
    "broken percent": _get("/{i}/_doc/%zz"),
    "favicon": _get("/favicon.ico"),
}


@pytest.fixture(scope="module")
def twins(elasticsearch_url: str) -> Iterator[None]:
    """Two indices of equal content."""
    with Elasticsearch(elasticsearch_url) as client:
        for name in ("diff-a", "diff-b"):
            client.indices.create(
                index=name, settings={"number_of_replicas": 0, "number_of_shards": 1}, mappings=_MAPPINGS
            )
            for i in range(5):
                client.index(index=name, id=str(i), document={"t": f"fox number {i}", "n": 1.0})
            client.indices.refresh(index=name)
        yield
        client.indices.delete(index="diff-a,diff-b")
        client.indices.delete_index_template(name="tpl-diff-*")


_MAPPINGS = {"properties": {"t": {"type": "text"}}}


@pytest.mark.usefixtures("twins")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_answered_as_elasticsearch_answers_it(name: str, elasticsearch_url: str, sidecar_url: str) -> None:
    call = CALLS[name]
    direct = _send(elasticsearch_url, call, "diff-a")
    through = _send(sidecar_url, call, "diff-b")
    assert through == direct


def test_the_calls_are_many() -> None:
    assert len(CALLS) >= 60


def _send(url: str, call: Call, index: str) -> tuple[int, str, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.putrequest(call.method, call.target.replace("{i}", index), skip_accept_encoding=True)
    body = call.body.replace(b"{i}", index.encode())
    for key, value in (call.headers | ({"Content-Length": str(len(body))} if body else {})).items():
        connection.putheader(key, value)
    connection.endheaders(body or None)
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    headers = sorted(
        (k.lower(), v.replace(index, "{i}")) for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP
    )
    gzipped = answer.headers.get("Content-Encoding") == "gzip"
    return answer.status, answer.reason, _comparable(headers), _settled(gzip.decompress(raw) if gzipped else raw, index)


def _comparable(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    # Lengths differ only with what is set aside in the body; that there is one must agree.
    return [(k, "N" if k == "content-length" else v) for k, v in headers]


def _settled(body: bytes, index: str) -> bytes:
    for pattern in _VOLATILE:
        body = re.sub(pattern, b"-", body, flags=re.DOTALL)
    return body.replace(index.encode(), b"{i}")
