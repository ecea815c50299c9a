"""`ext.rescore` goes from a body that passes piece by piece; its length and every other byte stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.elasticsearch.override_stream import OverrideStream


def passed(body: bytes, *cuts: int) -> bytes:
    """Return what becomes of a body whose pieces end at ``cuts``."""
    stream, ends = OverrideStream(), [*sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return b"".join([*map(stream.feed, pieces), stream.end()])


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('{"query":1,"ext":{"rescore":{"query":"a } \\" ]"}}}', {"query": 1, "ext": {}}),
        ('{"ext":{"rescore":{},"a":1,"b":2},"q":[1,{"ext":{"rescore":1}}]}', {"ext": {"a": 1, "b": 2}}),
        ('{"ext":{"a":1, "rescore":{"x":[[{}]]} , "b":"2"}}', {"ext": {"a": 1, "b": "2"}}),
        ('{"ext":{"a":-1.5e3,"rescore":"text"\n}}', {"ext": {"a": -1500.0}}),
        ('{"ext":{"rescore":null,"\\u0072escore":true}}', {"ext": {}}),
        ('{"ext": {"a": 1, "rescore": null}, "b" : 2 }', {"ext": {"a": 1}, "b": 2}),
        (
            '{"source":{"ext":{"rescore":{}},"q":"{{x}}"},"params":{"ext":{"rescore":1}}}',
            {"source": {"ext": {}, "q": "{{x}}"}},
        ),
        (
            '{"requests":[{"request":{"ext":{"rescore":{}}}}, {"id":1}]}',
            {"requests": [{"request": {"ext": {}}}, {"id": 1}]},
        ),
        (
            '{"templates":[{"template":{"source":{"ext":{"rescore":1}}}}]}',
            {"templates": [{"template": {"source": {"ext": {}}}}]},
        ),
        ('{"rescore":{"ext":{"rescore":1}},"query":{"ext":{"rescore":1}}}', {"rescore": {"ext": {"rescore": 1}}}),
    ],
)
def test_the_override_alone_goes_however_the_body_is_cut(body: str, kept: dict[str, Any]) -> None:
    sent = body.encode()
    whole = passed(sent)
    assert len(whole) == len(sent)
    found: dict[str, Any] = json.loads(whole)
    assert {name: found[name] for name in kept} == kept
    assert found.keys() == json.loads(sent).keys()
    assert all(passed(sent, cut, cut + 1) == whole for cut in range(len(sent)))
    assert passed(sent, *range(len(sent))) == whole


NAMES = st.sampled_from(["ext", "rescore", "source", "requests", "request", "query"]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
OURS: dict[str, Any] = {"ext": {"rescore": None}}
PLACES: dict[str, Any] = {**OURS, "source": OURS, "requests": {"request": OURS}}


def less(value: Any, places: dict[str, Any]) -> Any:
    """Return a value without what is at these places."""
    if isinstance(value, list):
        return [less(each, places) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: less(each, places.get(name, {})) for name, each in value.items() if places.get(name, "") is not None}


@given(st.dictionaries(NAMES, JSON, max_size=5), st.sets(st.integers(0, 300), max_size=9), st.booleans(), st.booleans())
def test_any_body_keeps_all_else(body: dict[str, Any], cuts: set[int], ascii_: bool, indented: bool) -> None:
    text = json.dumps(body, ensure_ascii=ascii_, indent=1 if indented else None).encode("utf-8", "surrogatepass")
    found = passed(text, *(cut for cut in cuts if cut < len(text)))
    assert len(found) == len(text)
    assert json.loads(found) == less(body, PLACES)
    if less(body, PLACES) == body:
        assert found == text


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":/* " */{},"ext":{"rescore":1}}',
        b'{"query":{"a":/* } */1},"ext":{"rescore":1}}',
        b'{"query" 1,"ext":{"rescore":1}}' + b" " * 5000,
        b'["ext",{"ext":{"rescore":1}}]',
        b"\xef\xbb\xbf{}",
        b"",
        b'{"query":"\\',
        b"}{",
    ],
)
def test_what_is_no_plain_json_passes_untouched(body: bytes) -> None:
    assert passed(body) == body
    assert passed(body, *range(len(body))) == body


def test_each_of_several_searches_loses_its_own() -> None:
    search = b'{"query":{"match":{"t":"fox"}},"ext":{"rescore":{}}}\n'
    body = (b'{"index":"i"}\n' + search + b"{}\n" + search) * 3
    lines = passed(body, 5, 60, 61).split(b"\n")
    assert [json.loads(line) for line in lines[1::2]] == [{"query": {"match": {"t": "fox"}}, "ext": {}}] * 6
    assert passed(body, 7) == passed(body)


def test_what_is_held_back_is_bounded() -> None:
    stream = OverrideStream()
    sent = sum(len(stream.feed(piece)) for piece in [b'{"query":"', *[b"fox " * 1000] * 50, b'",' + b" " * 9000])
    assert 209_012 - sent <= 4096
