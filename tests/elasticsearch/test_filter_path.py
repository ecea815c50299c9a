"""`filter_path` on bytes. What Elasticsearch does is checked against a real node in the end-to-end tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.elasticsearch.filter_path import apply
from tests.elasticsearch.test_json_bytes import JSON

BODY = (
    b'{ "took" : 1.0, "hits": {"total":{"value":2},"hits":[{"_id":"1","_source":{"a":{"b":1},"n":1e400}},{"_id":"2"}]}}'
)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ("took", b'{ "took" : 1.0}'),
        ("hits.hits._id", b'{ "hits": {"hits":[{"_id":"1"},{"_id":"2"}]}}'),
        ("hits.*.value", b'{ "hits": {"total":{"value":2}}}'),
        ("**.b", b'{ "hits": {"hits":[{"_source":{"a":{"b":1}}}]}}'),
        ("hits.hits._source.n", b'{ "hits": {"hits":[{"_source":{"n":1e400}}]}}'),
        ("t*k", b'{ "took" : 1.0}'),
        ("-hits", b'{ "took" : 1.0}'),
        ("-hits.hits._source,-took", b'{ "hits": {"total":{"value":2},"hits":[{"_id":"1"},{"_id":"2"}]}}'),
        ("hits.hits,-**._source", b'{ "hits": {"hits":[{"_id":"1"},{"_id":"2"}]}}'),
        ("nope", b"{}"),
        ("", BODY),
        (" , ", BODY),
    ],
)
def test_filters(filters: str, left: bytes) -> None:
    assert apply(BODY, filters) == left


@given(st.dictionaries(st.sampled_from("abc") | st.text(max_size=3), JSON, max_size=4), st.text("abc*.,-", max_size=9))
def test_any_filter_leaves_json_whose_values_were_there(value: dict[str, Any], filters: str) -> None:
    left = json.loads(apply(json.dumps(value).encode(), filters))
    assert isinstance(left, dict)
    assert _within(left, value)


def _within(left: Any, value: Any) -> bool:
    """Return whether ``left`` is ``value`` with members and elements taken out, in order."""
    if isinstance(left, dict) and isinstance(value, dict):
        return all(key in value and _within(inner, value[key]) for key, inner in left.items())
    if isinstance(left, list) and isinstance(value, list):
        rest = iter(value)
        return all(any(_within(item, other) for other in rest) for item in left)
    return bool(left == value)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_including_and_excluding_everything(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    assert json.loads(apply(body, "*")) == value
    assert json.loads(apply(body, "-*")) == {}
