"""Request features against a real node: a rescored answer differs from the direct one in order and scores alone."""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.model import Config
from sidecar.elasticsearch.target import with_parameters
from tests.compatibility import FOX, KNN, SAYS_SO, SENT, SHOWS, Feature, Search
from tests.compatibility_endpoints import ENDPOINTS, Endpoint
from tests.end_to_end.conftest import Background, config, documents
from tests.end_to_end.test_msearch import ndjson
from tests.end_to_end.test_search import raw

SCORES = ("_score", "_explanation")


@pytest.fixture(scope="module", params=[9, 8])
def version(request: pytest.FixtureRequest) -> int:
    """Each supported major version."""
    return int(request.param)


@pytest.fixture(scope="module")
def node(version: int, request: pytest.FixtureRequest) -> str:
    """The URL of a node with indices of all kinds."""
    url = str(request.getfixturevalue("elasticsearch_url" if version == 9 else "elasticsearch_8_url"))
    if version == 9:
        request.getfixturevalue("articles")
    else:
        articles_of_version_8(url)
    shapes(url)
    return url


@pytest.fixture(scope="module")
def url(node: str, checkpoint: Any) -> Iterator[str]:
    """A sidecar that rescores indices of all kinds."""
    settings = config(node, checkpoint).model_dump()
    plain = settings["indices"]["articles"]
    for index in ("stored", "synthetic", "dark"):
        settings["indices"][index] = plain | {"fields": ["title", "body"]}
    settings["indices"]["nested"] = plain | {"fields": ["title", "parts.text", "object.a", "copy"]}
    background = Background(Config.model_validate(settings))
    yield background.start()
    background.stop()


def shapes(url: str) -> None:
    """Make indices whose documents come in other shapes than a plain `_source`."""
    text = {"type": "text"}
    make(url, "stored", {"_source": {"enabled": False}, "properties": {"title": text, "body": text | {"store": True}}})
    make(url, "dark", {"_source": {"enabled": False}, "properties": {"title": text, "body": text}})
    title = {"type": "text", "store": True}
    synthetic = {"properties": {"title": title, "body": {"type": "keyword"}, "n": {"type": "integer"}}}
    make(url, "synthetic", synthetic, **{"index.mapping.source.mode": "synthetic"})
    parts = {"type": "nested", "properties": {"text": text, "n": {"type": "integer"}}}
    nested = {"title": text, "parts": parts, "object": {"properties": {"a": text}}, "copy": text}
    nested |= {"from": text | {"copy_to": "copy"}, "vec": {"type": "dense_vector", "dims": 2}}
    make(url, "nested", {"properties": nested})


def articles_of_version_8(url: str) -> None:
    """Make the index of all end-to-end tests: the Python client of version 9 cannot, on this node."""
    text = {"type": "text", "fields": {"raw": {"type": "keyword"}}}
    properties = {"title": text, "body": {"type": "text"}, "n": {"type": "integer"}, "tag": {"type": "keyword"}}
    create(url, "articles", {"properties": properties}, list(documents()))


def make(url: str, index: str, mappings: dict[str, Any], **settings: Any) -> None:
    found = []
    for i in range(30):
        parts = [{"text": f"fox part {i}", "n": i}, {"text": f"dog {i}"}]
        document = {"title": f"fox {i}", "body": f"text {i % 7}", "n": i}
        if index == "nested":
            document |= {"parts": parts, "object": [{"a": f"x {i}"}, {"a": "y"}], "from": f"c {i}", "vec": [1.0, i]}
        found.append(document)
    create(url, index, mappings, found, **settings)


def create(url: str, index: str, mappings: dict[str, Any], found: list[dict[str, Any]], **settings: Any) -> None:
    """Create an index with documents."""
    body = {"mappings": mappings, "settings": {"number_of_shards": 1, "number_of_replicas": 0, **settings}}
    send(url, f"/{index}?ignore_unavailable=true", "DELETE")
    send(url, f"/{index}", "PUT", json.dumps(body).encode())
    lines = [line for i, document in enumerate(found) for line in ({"index": {"_id": str(i)}}, document)]
    send(url, f"/{index}/_bulk?refresh=true", "POST", ndjson(*lines))


def send(url: str, path: str, method: str, body: bytes | None = None) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body, headers=headers, method=method)) as got:
        assert b'"errors":true' not in got.read()


def exact(body: bytes) -> Any:
    """Decode with key order and the spelling of numbers."""
    return json.loads(
        body, object_pairs_hook=lambda pairs: [["", ""], *map(list, pairs)], parse_float=str, parse_int=str
    )


def member(pairs: Any, *names: str) -> Any:
    """Return a member of what `exact` gives."""
    for name in names:
        pairs = next((value for key, value in pairs if key == name), [])
    return pairs


def unscored(hit: Any) -> str:
    return json.dumps([pair for pair in hit if pair[0] not in SCORES])


def assert_permuted(url: str, direct_url: str, search: Search) -> None:
    """Check that a rescored page has hits of the direct list's window, byte for byte, and all else as it was."""
    status, headers, answer = sent(url, search)
    assert (status, headers["X-Rescore"].partition(";")[0]) == (200, "reranked"), headers["X-Rescore"]
    got, direct, window = exact(answer), exact(sent(direct_url, search)[2]), exact(sent(direct_url, whole(search))[2])
    hits = member(got, "hits", "hits")
    assert len(hits) == len(member(direct, "hits", "hits")) > 0
    assert {unscored(hit) for hit in hits} <= {unscored(hit) for hit in member(window, "hits", "hits")}
    scores = [float(member(hit, "_score")) for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert [key for key, _ in got] == [key for key, _ in direct]
    for key in ("timed_out", "_shards", "aggregations", "suggest"):
        assert member(got, key) == member(direct, key)
    assert member(got, "hits", "total") == member(direct, "hits", "total")


def sent(url: str, search: Search) -> tuple[int, dict[str, str], bytes]:
    """Send a request of the table."""
    body = None if search.body is None else json.dumps(search.body).encode()
    return raw(url, search.path, body, **{name.replace("-", "_"): text for name, text in search.headers.items()})


def whole(search: Search) -> Search:
    """Return the request for the first 120 hits of the same list, or for all that it has."""
    target = with_parameters(search.path, frozenset({"from", "size"}), {} if search.body else {"size": "120"})
    size = 50 if "rescorer" in search.name or "rank_window_size" in search.name else 120
    body = None if search.body is None else search.body | {"from": 0, "size": size}
    return replace(search, body=body, parameters=target.partition("?")[2])


def rows(test: str) -> list[Any]:
    """Return the requests of the rows that a test shows, as its parameters."""
    return [pytest.param(row, search, id=f"{row.name} {search.name}") for row, search in SENT if row.test == test]


@pytest.mark.parametrize(("row", "search"), rows(SHOWS))
def test_a_feature_that_is_rescored(url: str, node: str, version: int, row: Feature, search: Search) -> None:
    if version in search.versions:
        assert_permuted(url, node, search)


MIXABLE = [
    search
    for row, search in SENT
    if row.test == SHOWS and search.index == "articles" and not {"retriever", "profile"} & (search.body or {}).keys()
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(MIXABLE), min_size=2, max_size=4))
def test_features_together(url: str, node: str, searches: list[Search]) -> None:
    """Whatever is combined: rescored as each alone, or passed with Elasticsearch's own answer."""
    body = {name: value for search in searches for name, value in (search.body or {}).items()}
    parameters = "&".join(search.parameters for search in searches if search.parameters)
    mixed = Search(body=body or None, parameters=parameters)
    if sent(url, mixed)[1]["X-Rescore"].startswith("reranked"):
        assert_permuted(url, node, mixed)
    else:
        got, plain = sent(url, mixed), sent(node, mixed)
        assert (got[0], untimed(got[2])) == (plain[0], untimed(plain[2]))


@pytest.mark.parametrize(("row", "search"), rows(SAYS_SO))
def test_a_feature_that_passes(url: str, node: str, row: Feature, search: Search) -> None:
    status, headers, answer = sent(url, search)
    plain = sent(node, search)
    assert headers["X-Rescore"] == f"passed; reason={row.outcome}"
    assert (status, untimed(answer)) == (plain[0], untimed(plain[2]))


@pytest.mark.parametrize("row", [row for row in ENDPOINTS if row.test.endswith("an_endpoint_that_passes")], ids=str)
def test_an_endpoint_that_passes(url: str, node: str, row: Endpoint) -> None:
    target = row.target.replace("/i/", "/articles/")
    status, headers, answer = raw(url, target, b"{}")
    plain = raw(node, target, b"{}")
    assert headers["X-Rescore"] == f"passed; reason={row.outcome}"
    assert (status, untimed(answer)) == (plain[0], untimed(plain[2]))


def untimed(body: bytes) -> bytes:
    """Return an answer without what differs from call to call: times, ids, places in the node's buffers."""
    return re.sub(rb'"took" ?: ?\d+|took: \d+|"_scroll_id":"[^"]*"|byte offset: #\d+', b"", body)


def test_the_ext_of_a_plugin_is_kept(url: str, node: str) -> None:
    """No plugin with an `ext` of its own is installed, so the node's complaint shows that it was sent."""
    body = json.dumps({"query": FOX, "ext": {"other": {}, "rescore": {}}}).encode()
    plain = json.dumps({"query": FOX, "ext": {"other": {}}}).encode()
    assert raw(url, "/articles/_search", body)[::2] == raw(node, "/articles/_search", plain)[::2]


@pytest.mark.parametrize("accept", ["application/vnd.elasticsearch+json;compatible-with=8", "application/json"])
def test_a_filtered_search_without_a_body(url: str, node: str, accept: str) -> None:
    assert_permuted(url, node, Search(body=None, parameters="q=title:fox&_source=n,tag", headers={"Accept": accept}))


@pytest.mark.parametrize(
    ("index", "body"),
    [
        ("stored", {"query": FOX, "stored_fields": ["body"]}),
        ("stored", {"query": FOX}),
        ("synthetic", {"query": FOX}),
        ("synthetic", {"query": FOX, "_source": False}),
        ("synthetic", {"query": FOX, "_source": ["n"]}),
        ("nested", {"query": FOX, "knn": KNN}),
        ("nested", {"query": {"bool": {"should": [FOX, {"knn": KNN}]}}}),
        (
            "nested",
            {"query": {"nested": {"path": "parts", "query": {"match": {"parts.text": "fox"}}, "inner_hits": {}}}},
        ),
        ("nested", {"query": FOX, "_source": False, "fields": ["object.*", "parts.n"]}),
        ("nested", {"query": FOX, "_source": {"excludes": ["parts.text"]}}),
        ("nested", {"query": FOX, "_source": {"excludes": ["object", "parts", "title"]}}),
        ("nested", {"query": FOX, "_source": ["from", "parts.n"]}),
    ],
)
def test_documents_of_other_shapes(url: str, node: str, index: str, body: dict[str, Any]) -> None:
    assert_permuted(url, node, Search(body=body, index=index))


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/dark/_search", {"query": FOX}, "no_document_text"),
        ("/articles/_search", {"query": FOX, "stored_fields": "_none_"}, "stored_fields_none"),
        ("/articles/_search", {"query": FOX, "sort": [{"_score": "asc"}]}, "sorted"),
        ("/nested/_search", {"retriever": {"knn": KNN}}, "no_query_text"),
        ("/articles/_search", {"query": FOX, "size": 10001}, "widened_refused"),
        ("/articles/_search", {"retriever": {"nope": {}}}, "no_query_text"),
        ("/articles/_search?filter_path=**.reason", {"query": FOX, "size": 10001}, "widened_refused"),
    ],
)
def test_what_passes_is_elasticsearchs_answer(
    url: str, node: str, path: str, body: dict[str, Any], reason: str
) -> None:
    status, headers, answer = raw(url, path, json.dumps(body).encode())
    plain = raw(node, path, json.dumps(body).encode())
    assert headers["X-Rescore"] == f"passed; reason={reason}"
    assert (status, without_took(answer)) == (plain[0], without_took(plain[2]))


def without_took(body: bytes) -> Any:
    return {key: value for key, value in json.loads(body).items() if key != "took"}


@pytest.mark.parametrize(
    "filters",
    [
        *("hits.hits._id", "**._id", "-hits.hits._source", "hits.*.*ource.n", "took,hits.hits", "nope", "-hits"),
        *("hits.hits._source.t*,-hits.hits._source.tag", "hits.total,-hits.total.relation", "*.hits.*._score", "-**.n"),
        *("hits.max_score", "hits.hits._source.*", "-*", "**", "hits.**.n", "_shards", "aggregations.tags.buckets.key"),
    ],
)
def test_filter_path(url: str, node: str, filters: str) -> None:
    body = json.dumps({"query": FOX, "aggs": {"tags": {"terms": {"field": "tag"}}}}).encode()
    path = f"/articles/_search?filter_path={quote(filters)}"
    status, headers, answer = raw(url, path, body)
    assert (status, headers["X-Rescore"].partition(";")[0]) == (200, "reranked")
    assert shape(json.loads(answer)) == shape(json.loads(raw(node, path, body)[2]))


def shape(value: Any) -> Any:
    """Return the keys of objects in order, the lengths of arrays, and the types of the rest."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def content_type(headers: dict[str, str]) -> str:
    return {name.lower(): value for name, value in headers.items()}["content-type"]


@pytest.mark.parametrize(
    ("format_", "accept"),
    [("yaml", None), ("cbor", None), ("smile", None), (None, "application/yaml"), (None, "application/cbor")],
)
def test_other_answer_formats_pass(url: str, node: str, format_: str | None, accept: str | None) -> None:
    path = "/articles/_search" + (f"?format={format_}" if format_ else "")
    headers = {"Accept": accept} if accept else {}
    body = json.dumps({"query": FOX}).encode()
    got, direct = raw(url, path, body, **headers), raw(node, path, body, **headers)
    assert got[1]["X-Rescore"] == "passed; reason=answer_format"
    assert (got[0], content_type(got[1])) == (200, content_type(direct[1]))
    assert len(got[2]) == pytest.approx(len(direct[2]), abs=4)


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress)]
)
def test_compressed_bodies(url: str, coding: str, encode: Any) -> None:
    body = encode(json.dumps({"query": FOX}).encode())
    status, headers, _ = raw(url, "/articles/_search", body, Content_Encoding=coding)
    assert (status, headers["X-Rescore"].partition(";")[0]) == (200, "reranked")


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_body_that_cannot_be_decoded_is_elasticsearchs_to_refuse(url: str, node: str, coding: str) -> None:
    got = raw(url, "/articles/_search", b"{}", Content_Encoding=coding)
    assert got[1]["X-Rescore"] == "passed; reason=body_encoding"
    assert got[0] == raw(node, "/articles/_search", b"{}", Content_Encoding=coding)[0]


def test_versioned_media_types(url: str) -> None:
    media = "application/vnd.elasticsearch+json;compatible-with=8"
    body = json.dumps({"query": FOX}).encode()
    _, headers, _ = raw(url, "/articles/_search", body, Accept=media, Content_Type=media)
    assert headers["X-Rescore"].startswith("reranked")
    assert content_type(headers) == media


@pytest.mark.parametrize("size", ["3", "3.0", '"3"'])
def test_every_spelling_of_a_size(url: str, size: str) -> None:
    body = b'{"query":{"match":{"title":"fox"}},"size":%s}' % size.encode()
    assert len(json.loads(raw(url, "/articles/_search", body)[2])["hits"]["hits"]) == 3


@pytest.mark.parametrize("explain", [True, "true"])
def test_the_rescored_explanation_is_a_tree_of_elasticsearchs_shape(url: str, explain: Any) -> None:
    body = json.dumps({"query": FOX, "explain": explain, "size": 110}).encode()
    hits = json.loads(raw(url, "/articles/_search", body)[2])["hits"]["hits"]
    for place, hit in enumerate(hits):
        tree = hit["_explanation"]
        assert list(tree) == ["value", "description", "details"]
        assert tree["value"] == hit["_score"]
        assert len(tree["details"]) == (2 if place < 100 else 1)
        assert tree["details"][-1]["description"].startswith("weight(title:fox")


def test_the_lowest_score_ends_the_list_with_its_window(url: str, node: str) -> None:
    def search(**rescore: Any) -> Any:
        body = {"query": FOX, "size": 300, "_source": False, "ext": {"rescore": {"window_size": 20, **rescore}}}
        return json.loads(raw(url, "/articles/_search", json.dumps(body).encode())[2])["hits"]["hits"]

    all_hits = search()
    middle = all_hits[9]["_score"]
    kept = search(min_score=middle)
    assert [hit["_id"] for hit in kept] == [hit["_id"] for hit in all_hits[:20] if hit["_score"] >= middle]


def test_explanations_in_fields(url: str) -> None:
    body = {"query": FOX, "size": 3, "fields": ["n"], "ext": {"rescore": {"explain": True}}}
    for hit in json.loads(raw(url, "/articles/_search", json.dumps(body).encode())[2])["hits"]["hits"]:
        assert list(hit["fields"]) == [
            *("n", "_rescore.first_stage_rank", "_rescore.first_stage_score", "_rescore.model_score")
        ]


def test_texts_that_the_filter_hides_are_read_all_the_same(url: str) -> None:
    def order(source: Any, path: str = "/articles/_search") -> list[str]:
        search = {"query": FOX, "size": 100, "_source": source, "ext": {"rescore": {"explain": True}}}
        lines = ndjson({"index": "articles"}, search)
        body = lines if path == "/_msearch" else json.dumps(search).encode()
        got = json.loads(raw(url, path, body)[2])
        hits = (got["responses"][0] if path == "/_msearch" else got)["hits"]["hits"]
        scores = {hit["_id"]: hit["fields"]["_rescore.model_score"][0] for hit in hits}
        return [f"{name} {scores[name]:.3f}" for name in sorted(scores)]

    whole = order(True)
    assert order(["n"]) == whole
    assert order({"excludes": ["b*"]}) == whole
    assert order(False) == whole
    assert order(["tag"], "/_msearch") == whole


@pytest.mark.parametrize(
    ("search", "outcome"), [({"query": FOX}, "reranked"), ({"sort": ["n"]}, "passed; reason=sorted")]
)
def test_the_override_in_the_source_parameter(url: str, search: dict[str, Any], outcome: str) -> None:
    source = quote(json.dumps(search | {"ext": {"rescore": {}}}))
    path = f"/articles/_search?source={source}&source_content_type=application/json"
    status, headers, _ = raw(url, path)
    assert (status, headers["X-Rescore"].startswith(outcome)) == (200, True)
