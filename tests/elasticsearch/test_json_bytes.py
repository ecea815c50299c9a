"""Splicing: what is not edited stays byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.elasticsearch.json_bytes import Edit, elements, insertion, members, removals, splice, whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_spans_are_exact() -> None:
    text = b' { "a" : 1e400 ,\n"b\\u0041":[1, "x,]" ] } '
    found = members(text, whole(text))
    assert {key: span.of(text) for key, span in found.items()} == {"a": b"1e400", "bA": b'[1, "x,]" ]'}
    assert [e.of(text) for e in elements(text, found["bA"])] == [b"1", b'"x,]"']


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"a":1,"b":2,"a":1}', b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}'])
def test_duplicate_keys_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="duplicate"):
        members(text, whole(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((cut, "Input data was truncated") for cut in (b"", b"{", b"nul")),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"a":}', r"invalid character \(byte 5\)"),
        (b'{"a":1}x', r"trailing characters \(byte 8\)"),
        (b"{'a':1}", r"object keys must be strings \(byte 1\)"),
        (b'{"a":1,}', r"trailing comma in object \(byte 7\)"),
    ],
)
def test_what_is_not_an_object_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        members(text, whole(text))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], b'{ "b": 2 , "c":3}'),
        (["b"], b'{ "a":1 , "c":3}'),
        (["c"], b'{ "a":1, "b": 2}'),
        (["a", "b"], b'{ "c":3}'),
        (["b", "c"], b'{ "a":1}'),
        (["a", "c"], b'{ "b": 2}'),
        (["a", "b", "c"], b"{}"),
        (["x"], b'{ "a":1, "b": 2 , "c":3}'),
    ],
)
def test_removals(names: list[str], expected: bytes) -> None:
    text = b'{ "a":1, "b": 2 , "c":3}'
    span = whole(text)
    assert splice(text, removals(text, span, members(text, span), names)) == expected


def test_insertion() -> None:
    for text, expected in ((b"{}", b'{"n":1}'), (b'{"a":[2] }', b'{"a":[2],"n":1 }')):
        span = whole(text)
        assert splice(text, [insertion(text, span, members(text, span), "n", b"1")]) == expected


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=6), st.sampled_from([None, 1, 3]), st.booleans())
def test_any_object_is_taken_apart_exactly(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = members(text, whole(text))
    assert splice(text, []) == text
    assert {key: json.loads(span.of(text)) for key, span in found.items()} == value
    for name in value:
        rest = json.loads(splice(text, removals(text, whole(text), found, [name])))
        assert rest == {key: other for key, other in value.items() if key != name}


def test_edits_at_one_place_keep_their_order() -> None:
    assert splice(b"ab", [Edit(1, 1, b"x"), Edit(1, 2, b"y")]) == b"axy"
