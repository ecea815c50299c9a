"""`filter_path` is Elasticsearch's own, byte for byte: what we filter is what the node filters, on both versions."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.elasticsearch.filter_path import apply
from tests.end_to_end.test_features import send
from tests.end_to_end.test_search import raw

ODD = {
    "title": "fox",
    "a.b": {"c": 1, "d.e": [{"f": 1, "g": []}, {"f": 2}, []]},
    "x": {"y": {"z": 1, "w": {}}, "e": {}},
    "arr": [1, 2, {"k": 1}, [{"k": 2}], "s", []],
    **{"empty": [], "nul": None, "*": 5, "?": 1, "a\\b": 2, "-m": {"n": 1}},
}
FILTERS = [
    *("**.took", "**.total", "**.x.y", "**.y.**.q", "**.**", "**.**.q", "-**.took", "-**.*s", "-**.x", "-hits.**.q"),
    *("", "-", " , ", "- took", " -took ,hits", "hits..hits", "..took", "took.", "-took.", "hits.hits._source.**."),
    *("hits.hits._source.a.b.c", r"hits.hits._source.a\.b.c", r"-hits.hits._source.a\.b.d\.e.*", r"**.a\b\.", "**.?"),
    *("hits.hits._source.arr.k", "-**.k", "**.empty", "**.empty.*", "**.w", "**.w.*", "-**.w", "-**.y.*", "**.nul"),
    *("hits.hits._source,-**.x.**", "h?ts", "h[i]ts", "hits.max_score.x", "-hits.total.*", "**.-m", "-hits,-took,*"),
]
NAMES = st.sampled_from(
    [
        *("hits", "total", "_source", "_id", "took", "*", "**", "h*", "_s*ce", "t*t*e", "?", "-m", r"a\.b", "a", "b"),
        *("c", r"d\.e", "f", "g", "x", "y", "z", "w", "e", "arr", "k", "empty", "nul", "q", " hits", "a\\b", ""),
    ]
)
PATHS = st.builds(
    lambda minus, start, names: minus + start + ".".join(names),
    *(st.sampled_from(["", "-"]), st.sampled_from(["", "hits.hits.", "hits.hits._source."])),
    st.lists(NAMES, min_size=1, max_size=5),
)


@pytest.fixture(scope="module", params=["elasticsearch_url", "elasticsearch_8_url"])
def node(request: pytest.FixtureRequest) -> str:
    """The URL of a node with two documents of odd names and empty values."""
    url = str(request.getfixturevalue(request.param))
    send(url, "/odd?ignore_unavailable=true", "DELETE")
    send(url, "/odd", "PUT", b'{"mappings":{"enabled":false}}')
    for name, document in (("1", ODD), ("2", {"title": "fox", "x": {"y": {"q": 1}}})):
        compact = json.dumps(document, separators=(",", ":")).encode()
        send(url, f"/odd/_doc/{name}?refresh=true", "PUT", compact)
    return url


def untimed(body: bytes) -> bytes:
    return re.sub(rb'"took"( ?: ?)\d+', rb'"took"\g<1>0', body)


def assert_alike(node: str, filters: str, more: str = "") -> None:
    whole = untimed(raw(node, f"/odd/_search?sort=_doc{more}")[2])
    status, _, filtered = raw(node, f"/odd/_search?sort=_doc&filter_path={quote(filters)}{more}")
    assert status == 200
    assert apply(whole, filters) == untimed(filtered)


@pytest.mark.parametrize("filters", FILTERS)
def test_a_filter(node: str, filters: str) -> None:
    assert_alike(node, filters)
    assert_alike(node, filters, "&pretty")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PATHS, min_size=1, max_size=3).map(",".join))
def test_any_filter(node: str, filters: str) -> None:
    assert_alike(node, filters)
