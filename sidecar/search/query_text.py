"""The natural-language text of a search, found in its query tree (design, section 3, "Query text").

First that yields text: `ext.rescore.query` (handled by the planner), the mapping's JSON paths, the walker,
`?q=`. Source of the clauses: Elasticsearch's Query DSL, retrievers and kNN references.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from sidecar.config.model import IndexMapping
from sidecar.search import query_string

_DEPTH = 64
Counts = Callable[[str], bool]

# Clauses whose values lie below one field name: `{"match": {"title": {"query": "..."}}}`.
_FIELD_CLAUSES = {
    "match": ("query",),
    "match_phrase": ("query",),
    "match_phrase_prefix": ("query",),
    "match_bool_prefix": ("query",),
    "semantic": ("query",),
    "sparse_vector": ("query",),
    "text_expansion": ("model_text",),
    "common": ("query",),
}
# Clauses that only wrap others, with the members that hold what must or may match.
_WRAPPERS = {
    "bool": ("must", "should"),
    "dis_max": ("queries",),
    "boosting": ("positive",),
    "constant_score": ("filter",),
    "function_score": ("query",),
    "script_score": ("query",),
    "nested": ("query",),
    "has_child": ("query",),
    "has_parent": ("query",),
    "pinned": ("organic",),
    "rule": ("organic", "retriever"),
    "rule_query": ("organic",),
    "span_multi": (),
    # retrievers
    "standard": ("query",),
    "rrf": ("retrievers", "query"),
    "linear": ("retrievers", "query"),
    "rescorer": ("retriever",),
    "text_similarity_reranker": ("inference_text", "retriever"),
    "random_reranker": ("retriever",),
    "diversify": ("retriever",),
    "retriever": (),
}


def query_text(body: Any, parameters: Mapping[str, str], mapping: IndexMapping) -> str | None:
    """Give the text of a search, distinct texts joined once in order; None when there is none.

    Args:
        body: the decoded JSON body, or None.
        parameters: the decoded query parameters.
        mapping: tells the query paths and which fields count.
    """
    counts = _counts(mapping)
    sources: tuple[Iterable[str], ...] = (
        (text for path in mapping.query_paths for text in at_path(body, path)),
        _from_body(body, counts),
        [query_string.words(parameters["q"], _default_field(parameters, counts))] if "q" in parameters else [],
    )
    for texts in sources:
        joined = _join(texts)
        if joined:
            return joined
    return None


def _join(texts: Iterable[str]) -> str:
    distinct = dict.fromkeys(" ".join(text.split()) for text in texts)
    return " ".join(text for text in distinct if text)


def _counts(mapping: IndexMapping) -> Counts:
    if mapping.query_fields == "all":
        return lambda field: True
    names = [field.name for field in mapping.fields]
    return lambda field: any(_same_field(field, name) for name in names)


def _same_field(field: str, name: str) -> bool:
    """Tell whether a field of a query is the mapped one, a sub-field of it, or a pattern that covers it."""
    plain = field.partition("^")[0]
    return plain.startswith(f"{name}.") or fnmatchcase(name, plain)


def _default_field(parameters: Mapping[str, str], counts: Counts) -> Counts:
    default = parameters.get("df")
    return counts if default is None or counts(default) else lambda field: field != default and counts(field)


def at_path(value: Any, path: str) -> Iterator[str]:
    """Give the strings at a JSON path: dots, `[0]`, `[*]` or `*`, with or without `$.` before."""
    values = [value]
    for step in re.findall(r"[^.\[\]]+", path.removeprefix("$")):
        values = [inner for outer in values for inner in _step(outer, step)]
    for found in values:
        yield from _strings(found)


def _step(value: Any, step: str) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step == "*" else [value[step]] if step in value else []
    if isinstance(value, list):
        if step.isdigit():
            return value[int(step) : int(step) + 1]
        return value if step == "*" else [inner for item in value for inner in _step(item, step)]
    return []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _from_body(body: Any, counts: Counts) -> Iterator[str]:
    if isinstance(body, dict):
        for key in ("query", "retriever", "sub_searches"):
            yield from _walk(body.get(key), counts, _DEPTH)
        yield from _vectors(body.get("knn"))


def _walk(node: Any, counts: Counts, depth: int) -> Iterator[str]:
    """Give the texts of a query, a list of queries, or a retriever. Never raises, whatever the JSON."""
    if depth <= 0:
        return
    if isinstance(node, str):  # the simplified retrievers' `query`, and `inference_text`
        yield node
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item, counts, depth - 1)
    elif isinstance(node, dict):
        for name, clause in node.items():
            yield from _clause(name, clause, counts, depth - 1)


def _clause(name: str, clause: Any, counts: Counts, depth: int) -> Iterator[str]:
    if name in _FIELD_CLAUSES:
        yield from _field_clause(clause, _FIELD_CLAUSES[name], counts)
    elif name == "knn":
        yield from _vectors(clause)
    elif isinstance(clause, dict) and name in _WRAPPERS:
        for member in _WRAPPERS[name]:
            yield from _walk(clause.get(member), counts, depth)
        if name == "retriever":
            yield from _walk(clause, counts, depth)
    elif isinstance(clause, dict) and name in _TEXT_CLAUSES:
        yield from _TEXT_CLAUSES[name](clause, counts)
    elif name in ("query", "retriever"):  # `{"query": {...}}` inside a list of weighted retrievers
        yield from _walk(clause, counts, depth)


def _field_clause(clause: Any, members: tuple[str, ...], counts: Counts) -> Iterator[str]:
    if not isinstance(clause, dict):
        return
    if isinstance(clause.get("field"), str):  # `semantic` and `sparse_vector` name the field in a member
        clause = {clause["field"]: clause}
    for field, value in clause.items():
        if counts(field):
            values = [value.get(member) for member in members] if isinstance(value, dict) else [value]
            yield from (str(v) for v in values if isinstance(v, str | int | float) and not isinstance(v, bool))


def _fields_count(clause: Mapping[str, Any], counts: Counts) -> bool:
    fields = clause.get("fields", clause.get("default_field"))
    listed = [fields] if isinstance(fields, str) else fields
    return not isinstance(listed, list) or not listed or any(isinstance(f, str) and counts(f) for f in listed)


def _multi_match(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    text = clause.get("query")
    if isinstance(text, str | int | float) and _fields_count(clause, counts):
        yield str(text)


def _query_string(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if isinstance(clause.get("query"), str) and _fields_count(clause, counts):
        yield query_string.words(clause["query"], counts)


def _simple_query_string(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if isinstance(clause.get("query"), str) and _fields_count(clause, counts):
        yield query_string.words(clause["query"], counts, simple=True)


def _more_like_this(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    if _fields_count(clause, counts):
        yield from _strings(clause.get("like"))


def _intervals(clause: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    for field, rule in clause.items():
        if counts(field):
            yield from _interval_rule(rule, _DEPTH)


def _interval_rule(rule: Any, depth: int) -> Iterator[str]:
    """Give the texts of an intervals rule; its `filter` restricts and adds none."""
    if not isinstance(rule, dict) or depth <= 0:
        return
    for name, value in rule.items():
        if name in ("match", "fuzzy", "prefix") and isinstance(value, dict):
            yield from _strings([value.get("query"), value.get("term"), value.get("prefix")])
        elif name in ("all_of", "any_of") and isinstance(value, dict):
            inner = value.get("intervals")
            for item in inner if isinstance(inner, list) else []:
                yield from _interval_rule(item, depth - 1)


def _vectors(knn: Any) -> Iterator[str]:
    for clause in knn if isinstance(knn, list) else [knn]:
        builder = clause.get("query_vector_builder") if isinstance(clause, dict) else None
        embedding = builder.get("text_embedding") if isinstance(builder, dict) else None
        if isinstance(embedding, dict):
            yield from _strings(embedding.get("model_text"))


_TEXT_CLAUSES: dict[str, Callable[[Mapping[str, Any], Counts], Iterator[str]]] = {
    "multi_match": _multi_match,
    "combined_fields": _multi_match,
    "query_string": _query_string,
    "simple_query_string": _simple_query_string,
    "more_like_this": _more_like_this,
    "intervals": _intervals,
}
