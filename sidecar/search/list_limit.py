"""How long a search's list may be asked for without changing it.

Compound retrievers, and `rank` before them, rank `rank_window_size` entries and refuse a larger `size`. A `knn`
clause without `k` takes `size` neighbours, so asking for more hits would find other ones. Source: Elasticsearch
reference, "Retrievers" and "kNN query"; seen on 9.5.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DEFAULT_SIZE = 10
_COMPOUND_DEFAULT = 10
_SEMANTIC_LEAST = 10
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class ListLimit:
    """At most ``hits`` may be asked for. ``ends``: the list has no entries after them."""

    hits: int
    ends: bool


def default_size(body: Mapping[str, Any]) -> int:
    """Give the hits on a page of a search without `size`; a `rescorer` retriever gives all it rescored."""
    name, inner = _only(body.get("retriever"))
    return _rank_window(name, inner) if name == "rescorer" else _DEFAULT_SIZE


def list_limit(body: Mapping[str, Any], size: int) -> ListLimit | None:
    """Give the limit of a search that asks for ``size`` hits, None without one."""
    name, ranked = _only(body.get("rank"))
    if name:
        return ListLimit(_number(ranked.get("rank_window_size")), ends=True)
    name, inner = _only(body.get("retriever"))
    if inner and name not in ("standard", "knn"):
        return ListLimit(_rank_window(name, inner), ends=True)
    queries = [body.get("query"), body.get("post_filter"), {"knn": body.get("knn")}]
    if name == "standard":
        queries += [inner.get("query"), inner.get("filter")]
    neighbours = [found for query in queries for found in _neighbours(query, size, _DEPTH)]
    return ListLimit(min(neighbours), ends=False) if neighbours else None


def _only(retriever: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(retriever, dict):
        for name, inner in retriever.items():
            if isinstance(inner, dict):
                return name, inner
    return "", {}


def _rank_window(name: str, retriever: Mapping[str, Any]) -> int:
    if name != "rescorer":
        return _number(retriever.get("rank_window_size"))
    rescore = retriever.get("rescore")
    steps = rescore if isinstance(rescore, list) else [rescore]
    return min(
        (_number(step.get("window_size")) for step in steps if isinstance(step, dict)), default=_COMPOUND_DEFAULT
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _COMPOUND_DEFAULT


def _neighbours(node: Any, size: int, depth: int) -> list[int]:
    """Give the limits of all clauses that take as many neighbours as there are hits on the page."""
    if depth == 0 or not isinstance(node, dict | list):
        return []
    if isinstance(node, list):
        return [found for item in node for found in _neighbours(item, size, depth - 1)]
    found = [limit for limit in (_of_clause(name, clause, size) for name, clause in node.items()) if limit is not None]
    return found + [limit for inner in node.values() for limit in _neighbours(inner, size, depth - 1)]


def _of_clause(name: str, clause: Any, size: int) -> int | None:
    clauses = [item for item in (clause if isinstance(clause, list) else [clause]) if isinstance(item, dict)]
    if name == "knn" and any("field" in item and "k" not in item for item in clauses):
        return size
    if name == "semantic" and any("field" in item for item in clauses):
        return max(size, _SEMANTIC_LEAST)
    return None
