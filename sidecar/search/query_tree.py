"""Walks a query tree for the texts that must or may match; what excludes or only filters adds none.

Never raises, whatever the JSON. Source of the clauses: Elasticsearch reference, "Query DSL", "Retrievers",
"kNN search".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.search import query_string

Counts = Callable[[str], bool]
"""Tells whether clauses on a field, which may be a pattern with a boost, add text."""

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
    # retrievers; `{"retriever": {...}, "weight": 2}` and `{"query": {...}}` are entries of their lists
    "standard": frozenset({"query"}),
    "rescorer": frozenset({"retriever"}),
    "random_reranker": frozenset({"retriever"}),
    "diversify": frozenset({"retriever"}),
}
_ENTRIES: Final = frozenset({"query", "retriever"})


def texts(body: Any, counts: Counts) -> Iterator[str]:
    """Give the texts of a search body: its query, its retriever, its kNN searches."""
    if isinstance(body, dict):
        for name in ("query", "retriever", "sub_searches"):
            yield from _walk(body.get(name), counts, _DEPTH)
        yield from _vectors(body.get("knn"))


def strings(value: Any) -> Iterator[str]:
    """Give a string, or the strings of a list."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item


def _walk(node: Any, counts: Counts, depth: int) -> Iterator[str]:
    """Give the texts of a query, a retriever, or a list of either."""
    if depth <= 0:
        return
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, counts, depth - 1)
    elif isinstance(node, dict):
        for name, clause in node.items():
            yield from _clause(name, clause, counts, depth - 1)


def _clause(name: str, clause: Any, counts: Counts, depth: int) -> Iterator[str]:
    if name in _ENTRIES:
        yield from _walk(clause, counts, depth)
    elif name == "knn":
        yield from _vectors(clause)
    elif not isinstance(clause, dict):
        return
    elif name in _WRAPPERS:
        for member, inner in clause.items():
            if member in _WRAPPERS[name]:
                yield from _walk(inner, counts, depth)
    elif name in _COMPOUNDS:
        yield from _COMPOUNDS[name](clause, counts, depth)
    elif name in _TEXTS:
        yield from _TEXTS[name](clause, counts)


def _fused(clause: Mapping[str, Any], counts: Counts, depth: int) -> Iterator[str]:
    """Read `rrf` and `linear`: a list of retrievers, or the short form with `query` and `fields`."""
    if _fields_count(clause, counts):
        yield from _scalar(clause.get("query"))
    yield from _walk(clause.get("retrievers"), counts, depth)


def _reranked(clause: Mapping[str, Any], counts: Counts, depth: int) -> Iterator[str]:
    """Read `text_similarity_reranker`: its `inference_text` is the very text to rank by."""
    inference = " ".join(strings(clause.get("inference_text")))
    if inference.strip():
        yield inference
    else:
        yield from _walk(clause.get("retriever"), counts, depth)


def _wrapped(clause: Mapping[str, Any], counts: Counts, depth: int) -> Iterator[str]:
    """Read `wrapper`: a query in base64."""
    try:
        inner = msgspec.json.decode(base64.b64decode(str(clause.get("query")).encode()))
    except (ValueError, RecursionError):
        return
    yield from _walk(inner, counts, depth)


_COMPOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any], Counts, int], Iterator[str]]]] = {
    "rrf": _fused,
    "linear": _fused,
    "text_similarity_reranker": _reranked,
    "wrapper": _wrapped,
}


def _scalar(value: Any) -> Iterator[str]:
    """Give the text of a string or number; `match` takes both."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield msgspec.json.encode(value).decode()


def _by_field(member: str) -> Callable[[Mapping[str, Any], Counts], Iterator[str]]:
    """Read clauses below one field name: `{"title": "text"}` or `{"title": {member: "text"}}`."""

    def read(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
        for field, value in clause.items():
            if counts(field):
                yield from _scalar(value.get(member) if isinstance(value, dict) else value)

    return read


def _with_field(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    """Read `semantic` and `sparse_vector`, which name their field in a member."""
    field = clause.get("field")
    if not isinstance(field, str) or counts(field):
        yield from _scalar(clause.get("query"))


def _fields_count(clause: Mapping[str, Any], counts: Counts) -> bool:
    """Tell whether clauses on `fields` (or `default_field`) count; none named are all fields."""
    named = list(strings(clause.get("fields", clause.get("default_field"))))
    return not named or any(counts(field) for field in named)


def _multi_match(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if _fields_count(clause, counts):
        yield from _scalar(clause.get("query"))


def _query_string(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    for text in _scalar(clause.get("query")):
        yield query_string.words(text, counts, default=_fields_count(clause, counts))


def _simple_query_string(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if _fields_count(clause, counts):
        for text in _scalar(clause.get("query")):
            yield query_string.words(text, simple=True)


def _more_like_this(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if _fields_count(clause, counts):
        yield from strings(clause.get("like"))


def _intervals(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    for field, rule in clause.items():
        if counts(field):
            yield from _interval_rule(rule, _DEPTH)


def _interval_rule(rule: Any, depth: int) -> Iterator[str]:
    """Give the texts of an intervals rule; its `filter` restricts and adds none."""
    if not isinstance(rule, dict) or depth <= 0:
        return
    for name, value in rule.items():
        if not isinstance(value, dict):
            continue
        if name in ("match", "fuzzy", "prefix"):
            yield from _scalar(value.get("query", value.get("term", value.get("prefix"))))
        elif name in ("all_of", "any_of"):
            inner = value.get("intervals")
            for item in inner if isinstance(inner, list) else []:
                yield from _interval_rule(item, depth - 1)


def _vectors(knn: Any) -> Iterator[str]:
    """Give the texts that kNN searches have embedded; vector fields count whatever their name."""
    for clause in knn if isinstance(knn, list) else [knn]:
        builder = clause.get("query_vector_builder") if isinstance(clause, dict) else None
        embedding = builder.get("text_embedding") if isinstance(builder, dict) else None
        if isinstance(embedding, dict):
            yield from strings(embedding.get("model_text"))


_TEXTS: Final[Mapping[str, Callable[[Mapping[str, Any], Counts], Iterator[str]]]] = {
    "match": _by_field("query"),
    "match_phrase": _by_field("query"),
    "match_phrase_prefix": _by_field("query"),
    "match_bool_prefix": _by_field("query"),
    "text_expansion": _by_field("model_text"),
    "common": _by_field("query"),
    "semantic": _with_field,
    "sparse_vector": _with_field,
    "multi_match": _multi_match,
    "combined_fields": _multi_match,
    "query_string": _query_string,
    "simple_query_string": _simple_query_string,
    "more_like_this": _more_like_this,
    "intervals": _intervals,
}
