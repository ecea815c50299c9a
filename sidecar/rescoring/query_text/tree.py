"""Walks a query tree for the texts that must or may match; what excludes or only filters adds none.

Never raises, whatever the JSON. Source of the clauses: Elasticsearch reference, "Query DSL", "Retrievers",
"kNN search".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.elasticsearch.lenient_json import decode
from sidecar.rescoring.query_text import query_string, simple_query_string
from sidecar.rescoring.query_text.text_fields import TextFields

_Reader = Callable[[Mapping[str, Any], TextFields], Iterator[str]]

# Twice the depth that Elasticsearch allows by default (`indices.query.bool.max_nested_depth` is 30), lists counted.
_DEPTH: Final = 120

# Clauses that only wrap others, with the members that hold what must or may match.
_WRAPPERS: Final = {
    "bool": frozenset({"must", "should"}),
    "dis_max": frozenset({"queries"}),
    "boosting": frozenset({"positive"}),
    "constant_score": frozenset({"filter"}),
    "function_score": frozenset({"query"}),
    "script_score": frozenset({"query"}),
    "nested": frozenset({"query"}),
    "has_child": frozenset({"query"}),
    "has_parent": frozenset({"query"}),
    "pinned": frozenset({"organic", "retriever"}),
    "rule": frozenset({"organic", "retriever"}),
    "rule_query": frozenset({"organic"}),
    "hybrid": frozenset({"queries"}),
    # retrievers; `{"retriever": {...}, "weight": 2}` and `{"query": {...}}` are entries of their lists
    "standard": frozenset({"query"}),
    "rescorer": frozenset({"retriever"}),
    "random_reranker": frozenset({"retriever"}),
    "diversify": frozenset({"retriever"}),
    "span_near": frozenset({"clauses"}),
    "span_or": frozenset({"clauses"}),
    "span_first": frozenset({"match"}),
    "span_not": frozenset({"include"}),
    "span_containing": frozenset({"big", "little"}),
    "span_within": frozenset({"big", "little"}),
    "span_multi": frozenset({"match"}),
    "span_field_masking": frozenset({"query"}),
    "field_masking_span": frozenset({"query"}),
}
_ENTRIES: Final = frozenset({"query", "retriever"})


def texts(body: Any, fields: TextFields) -> Iterator[str]:
    """Yield the texts of a search body: its query, its retriever, its kNN searches."""
    if isinstance(body, dict):
        for name in ("query", "retriever", "sub_searches"):
            yield from _walk(body.get(name), fields, _DEPTH)
        yield from _vectors(body.get("knn"))


def strings(value: Any) -> Iterator[str]:
    """Yield a string, or the strings of a list."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item


def _walk(node: Any, fields: TextFields, depth: int) -> Iterator[str]:
    """Yield the texts of a query, a retriever, or a list of either."""
    if depth <= 0:
        return
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, fields, depth - 1)
    elif isinstance(node, dict):
        for name, clause in node.items():
            yield from _clause(name, clause, fields, depth - 1)


def _clause(name: str, clause: Any, fields: TextFields, depth: int) -> Iterator[str]:
    if name in _ENTRIES:
        yield from _walk(clause, fields, depth)
    elif name == "knn":
        yield from _vectors(clause)
    elif not isinstance(clause, dict):
        return
    elif name in _WRAPPERS:
        for member, inner in clause.items():
            if member in _WRAPPERS[name]:
                yield from _walk(inner, fields, depth)
    elif name in _COMPOUNDS:
        yield from _COMPOUNDS[name](clause, fields, depth)
    elif name in _TEXTS:
        yield from _TEXTS[name](clause, fields)


def _fused(clause: Mapping[str, Any], fields: TextFields, depth: int) -> Iterator[str]:
    """Read `rrf` and `linear`: a list of retrievers, or the short form with `query` and `fields`."""
    yield from _multi_match(clause, fields)
    yield from _walk(clause.get("retrievers"), fields, depth)


def _reranked(clause: Mapping[str, Any], fields: TextFields, depth: int) -> Iterator[str]:
    """Read `text_similarity_reranker`: its `inference_text` is the very text to rank by."""
    inference = " ".join(strings(clause.get("inference_text")))
    if inference.strip():
        yield inference
    else:
        yield from _walk(clause.get("retriever"), fields, depth)


def _wrapped(clause: Mapping[str, Any], fields: TextFields, depth: int) -> Iterator[str]:
    """Read `wrapper`: a query in base64."""
    try:
        inner = decode(base64.b64decode(str(clause.get("query")).encode()))
    except ValueError:
        return
    yield from _walk(inner, fields, depth)


def _template(clause: Mapping[str, Any], fields: TextFields, depth: int) -> Iterator[str]:
    """Read OpenSearch's `template`: a query in which a search pipeline replaces `${name}`, which is no text."""
    yield from (text for text in _walk(clause, fields, depth) if "${" not in text)


_COMPOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any], TextFields, int], Iterator[str]]]] = {
    "rrf": _fused,
    "linear": _fused,
    "text_similarity_reranker": _reranked,
    "wrapper": _wrapped,
    "template": _template,
}


def _scalar(value: Any) -> Iterator[str]:
    """Yield the text of a string or number; `match` takes both."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield msgspec.json.encode(value).decode()


def _by_field(member: str) -> _Reader:
    """Read clauses below one field name: `{"title": "text"}` or `{"title": {member: "text"}}`."""

    def read(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
        for name, value in clause.items():
            yield from fields.counted([name], _scalar(_member(value, member)))

    return read


def _exact(*members: str) -> _Reader:
    """Read clauses on the indexed terms of one field, of which each may be a pattern."""

    def read(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
        for name, value in clause.items():
            if fields.count_exact(name):
                yield from map(query_string.spelled_out, strings(_member(value, *members)))

    return read


def _member(value: Any, *members: str) -> Any:
    return next((value[name] for name in members if name in value), None) if isinstance(value, dict) else value


def _with_field(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    """Read `semantic` and `sparse_vector`, which name their field in a member."""
    yield from fields.counted(list(strings(clause.get("field"))), _scalar(clause.get("query")))


def _named(clause: Mapping[str, Any]) -> list[str]:
    """Return the fields that a clause names; none are all fields."""
    return list(strings(clause.get("fields", clause.get("default_field"))))


def _multi_match(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    yield from fields.counted(_named(clause), _scalar(clause.get("query")))


def _query_string(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    for text in _scalar(clause.get("query")):
        yield from in_query_string(text, _named(clause), fields, one="fields" not in clause)


def in_query_string(text: str, default: list[str], fields: TextFields, *, one: bool) -> Iterator[str]:
    """Yield the texts of a query string that searches ``default`` where it names no field.

    ``one``: the default is one field, not a list.
    """
    for name, found in query_string.texts(text, named=one and default not in ([], ["*"])):
        yield from fields.counted(default if name is None else [name], [found])


def _simple_query_string(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    flags = simple_query_string.flags_of(clause.get("flags"))
    for text in _scalar(clause.get("query")):
        yield from fields.counted(_named(clause), simple_query_string.texts(text, flags))


def _more_like_this(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    """Read the texts to be like, and those of documents that come with the query; ids stand for unknown texts."""
    like = clause.get("like")
    for item in like if isinstance(like, list) else [like]:
        document = item.get("doc") if isinstance(item, dict) else None
        for name, value in document.items() if isinstance(document, dict) else ():
            yield from fields.counted([name], strings(value))
        yield from fields.counted(_named(clause), strings(item))


def _intervals(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    for name, rule in clause.items():
        yield from fields.counted([name], _interval_rule(rule, _DEPTH))


def _interval_rule(rule: Any, depth: int) -> Iterator[str]:
    """Yield the texts of an intervals rule; its `filter` restricts and adds none."""
    if not isinstance(rule, dict) or depth <= 0:
        return
    for name, value in rule.items():
        if not isinstance(value, dict):
            continue
        if name in ("match", "fuzzy", "prefix"):
            yield from _scalar(_member(value, "query", "term", "prefix"))
        elif name == "wildcard":
            yield from map(query_string.spelled_out, strings(value.get("pattern")))
        elif name in ("all_of", "any_of"):
            inner = value.get("intervals")
            for item in inner if isinstance(inner, list) else []:
                yield from _interval_rule(item, depth - 1)


def _vectors(knn: Any) -> Iterator[str]:
    """Yield the texts that kNN searches have embedded; vector fields count whatever their name."""
    for clause in knn if isinstance(knn, list) else [knn]:
        builder = clause.get("query_vector_builder") if isinstance(clause, dict) else None
        embedding = builder.get("text_embedding") if isinstance(builder, dict) else None
        if isinstance(embedding, dict):
            yield from strings(embedding.get("model_text"))


def _embedded(clause: Mapping[str, Any], fields: TextFields) -> Iterator[str]:
    """Read OpenSearch's `neural` and `neural_sparse`: fields of vectors count whatever their name."""
    for value in clause.values():
        if isinstance(value, dict):
            yield from strings(value.get("query_text"))


_TEXTS: Final[Mapping[str, _Reader]] = {
    "match": _by_field("query"),
    "match_phrase": _by_field("query"),
    "match_phrase_prefix": _by_field("query"),
    "match_bool_prefix": _by_field("query"),
    "text_expansion": _by_field("model_text"),
    "common": _by_field("query"),
    "semantic": _with_field,
    "neural": _embedded,
    "neural_sparse": _embedded,
    "sparse_vector": _with_field,
    "multi_match": _multi_match,
    "combined_fields": _multi_match,
    "query_string": _query_string,
    "simple_query_string": _simple_query_string,
    "more_like_this": _more_like_this,
    "intervals": _intervals,
    "term": _exact("value", "term"),
    "terms": _exact(),
    "terms_set": _exact("terms"),
    "prefix": _exact("value", "prefix"),
    "fuzzy": _exact("value"),
    "wildcard": _exact("value", "wildcard"),
    "span_term": _exact("value", "term"),
}
