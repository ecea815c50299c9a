"""The text that a model reads of a hit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import IndexMapping
from sidecar.rescoring.documents import highlight_tags, text_of
from sidecar.rescoring.html import strip_html
from tests.elasticsearch.test_json_bytes import JSON


def mapping(*fields: str | dict[str, str], **more: Any) -> IndexMapping:
    return IndexMapping.model_validate({"fields": fields, **more})


@pytest.mark.parametrize(
    ("fields", "source", "text", "missing"),
    [
        (("t",), {"t": "x"}, "x", 0),
        (("t", "b"), {"b": "y", "t": "x"}, "x y", 0),
        (("t", "b"), {"b": "y"}, "y", 1),
        (("a.b.c",), {"a": {"b": {"c": "deep"}}}, "deep", 0),
        (("a.b.c",), {"a.b": {"c": "half dotted"}}, "half dotted", 0),
        (("a.b",), {"a.b": "dotted", "a": {"b": "deep"}}, "dotted deep", 0),
        (("a.b",), {"a": [{"b": "one"}, {"c": 1}, {"b": ["two", "three"]}]}, "one two three", 0),
        (("a",), {"a": {"x": "one", "y": {"z": "two"}}}, "one two", 0),
        (("t.keyword",), {"t": "its source"}, "its source", 0),
        (("n",), {"n": [1, 2.5, True, None]}, "1 2.5 true", 0),
        (("t",), {"t": None}, "", 1),
        (("t",), {"t": "  "}, "", 1),
        (("t",), None, "", 1),
        (({"name": "t", "label": "Title: "}, {"name": "b", "label": "Body: "}), {"t": "x", "b": ""}, "Title: x", 1),
    ],
)
def test_fields_of_a_source(fields: Any, source: Any, text: str, missing: int) -> None:
    assert text_of({"_source": source}, mapping(*fields)) == (text, missing)


HIT: dict[str, Any] = {
    "_source": {"t": "<b>whole</b> text"},
    "fields": {"t": ["from fields"], "o.a": ["flat"], "p": [{"t": ["nested"]}]},
    "highlight": {"t": ["a <em>fragment</em>", "another"]},
    "inner_hits": {"p": {"hits": {"hits": [{"_source": {"t": "inner one"}}, {"_source": {"t": "inner two"}}]}}},
}


@pytest.mark.parametrize(
    ("text_from", "field", "text"),
    [
        ("auto", "t", "<b>whole</b> text"),
        ("source", "t", "<b>whole</b> text"),
        ("fields", "t", "from fields"),
        ("auto", "o.a", "flat"),
        ("auto", "p.t", "nested"),
        ("highlight", "t", "a fragment another"),
        ("highlight", "o.a", "flat"),
        ("inner_hits", "p.t", "inner one inner two"),
    ],
)
def test_where_texts_are_read(text_from: str, field: str, text: str) -> None:
    assert text_of(HIT, mapping(field, text_from=text_from))[0] == text


def test_separators_and_stripped_html() -> None:
    both = mapping("a", "b", separator=" | ", strip_html=True)
    assert text_of({"_source": {"a": "<p>x &amp; y</p>", "b": "a < b"}}, both)[0] == "x & y | a < b"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>one</p><p>two</p>", "one two"),
        ("a<script>var x='</p>'</script>b<style>p{}</style>c", "a b c"),
        ("x<!-- hidden -->y", "xy"),
        ("&lt;b&gt; &eacute;&#8364;", "<b> é€"),
        ("x <div", "x <div"),
    ],
)
def test_html(html: str, text: str) -> None:
    assert strip_html(html) == text


@pytest.mark.parametrize(
    ("highlight", "fragment", "text"),
    [
        ({}, "a <em>b</em> <b>c</b>", "a b <b>c</b>"),
        ({"pre_tags": ["<b>", "<b1>"], "post_tags": ["</b>"]}, "a <b1>b</b>", "a b"),
        ({"fields": {"t": {"pre_tags": ["[["], "post_tags": "]]"}}}, "[[a]] <em>b</em>", "a b"),
        ({"fields": [{"t": {"pre_tags": ["*"], "post_tags": ["*"]}}, 3]}, "*a* b", "a b"),
        ({"tags_schema": "styled"}, '<em class="hlt10">a</em> b', "a b"),
        ({"pre_tags": 7, "fields": None}, "<em>a</em>", "a"),
    ],
)
def test_tags_of_highlights_are_not_read(highlight: dict[str, Any], fragment: str, text: str) -> None:
    tags = highlight_tags({"highlight": highlight})
    assert text_of({"highlight": {"t": [fragment]}}, mapping("t", text_from="highlight"), tags) == (text, 0)


@given(st.dictionaries(st.sampled_from(["_source", "fields", "highlight", "inner_hits"]), JSON), st.text())
def test_any_hit_has_a_text(hit: dict[str, Any], html: str) -> None:
    for text_from in ("auto", "fields", "highlight", "inner_hits"):
        text, missing = text_of(hit, mapping("a", "b.c", text_from=text_from, strip_html=True))
        assert isinstance(text, str)
        assert 0 <= missing <= 2
    assert isinstance(strip_html(html), str)
