"""The natural-language text of a search (design, section 3, "Query text").

First that yields text: `ext.rescore.query` (handled by the planner), the mapping's JSON paths, the query tree,
`?q=`. Distinct texts are joined once, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sidecar.config.model import IndexMapping
from sidecar.search import query_string, query_tree
from sidecar.search.query_tree import Counts
from sidecar.search.wildcard import matches


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
        query_tree.texts(_without_query(body) if "q" in parameters else body, counts),
        _from_parameters(parameters, counts),
    )
    return next((joined for joined in map(_join, sources) if joined), None)


def _without_query(body: Any) -> Any:
    """Leave out the body's `query`: Elasticsearch puts `?q=` in its place (seen on 9.5.3)."""
    return {name: value for name, value in body.items() if name != "query"} if isinstance(body, dict) else body


def _from_parameters(parameters: Mapping[str, str], counts: Counts) -> Iterator[str]:
    default = "df" not in parameters or counts(parameters["df"])
    yield query_string.words(parameters.get("q", ""), counts, default=default)


def _join(texts: Iterable[str]) -> str:
    distinct = dict.fromkeys(" ".join(text.split()) for text in texts)
    return " ".join(text for text in distinct if text)


def _counts(mapping: IndexMapping) -> Counts:
    if mapping.query_fields == "all":
        return lambda field: True
    names = [field.name for field in mapping.fields]
    return lambda field: any(_same_field(field, name) for name in names)


def _same_field(field: str, name: str) -> bool:
    """Tell whether a query's field is the mapped one, a pattern that covers it, or one is the other's multi-field.

    A boost (`title^2`) is not part of the name.
    """
    plain = field.partition("^")[0]
    return plain.startswith(f"{name}.") or name.startswith(f"{plain}.") or matches(plain, name)


def at_path(value: Any, path: str) -> Iterator[str]:
    """Give the strings at a JSON path: dots, `[0]`, `[*]` or `*`, with or without `$.` before."""
    values = [value]
    for step in re.findall(r"[^.\[\]]+", path.removeprefix("$")):
        values = [inner for outer in values for inner in _step(outer, step)]
    for found in values:
        yield from query_tree.strings(found)


def _step(value: Any, step: str) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step == "*" else [value[step]] if step in value else []
    if not isinstance(value, list):
        return []
    if re.fullmatch("[0-9]{1,9}", step):
        return value[int(step) : int(step) + 1]
    return value if step == "*" else [inner for item in value if isinstance(item, dict) for inner in _step(item, step)]
