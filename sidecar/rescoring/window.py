"""Which part of the list is rescored, which page of it the client wants, and how it may be asked for unchanged.

Compound retrievers, and `rank` before them, rank `rank_window_size` entries and refuse a larger `size`. A `knn`
clause without `k` takes `size` neighbours, wherever it stands: in an aggregation's filter it changes counts. A
`rescore` that can lower scores gives another order when more hits are asked for than it rescores, since those that
it did not rescore then pass others. Source: Elasticsearch reference, "Retrievers", "kNN query" and "Rescore filtered
search results"; observed on 9.5.3.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.elasticsearch.lenient_json import decode
from sidecar.reasons import Reason
from sidecar.rescoring.values import Window

_DEFAULT_SIZE = 10
_COMPOUND_DEFAULT = 10
_RESCORE_DEFAULT = 10
# Combinations of scores in which a rescored hit never gets less than it had, given weights that are not negative.
_RAISING = ("total", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLimit:
    """At most ``hits`` may be asked for, and pages of more pass for ``reason``; None without a limit.

    ``ends``: the list has no entries after them. ``exact``: no other `size` than the client's may be asked for.
    """

    hits: int | None = None
    ends: bool = False
    exact: bool = False
    reason: Reason = Reason.RANK_WINDOW


def default_size(body: Mapping[str, Any]) -> int:
    """Return the hits on a page of a search without `size`; a `rescorer` retriever gives all it rescored."""
    name, inner = _only(body.get("retriever"))
    return _rank_window(name, inner) if name == "rescorer" else _DEFAULT_SIZE


def list_limit(body: Mapping[str, Any]) -> ListLimit:
    """Return the limit of a search."""
    exact = _depends_on_size(body)
    name, ranked = _only(body.get("rank"))
    if name:
        return ListLimit(hits=_number(ranked.get("rank_window_size")), ends=True, exact=exact)
    name, inner = _only(body.get("retriever"))
    if inner and name not in ("standard", "knn"):
        return ListLimit(hits=_rank_window(name, inner), ends=True, exact=exact)
    return ListLimit(hits=_rescored(body.get("rescore")), exact=exact, reason=Reason.RESCORE_WINDOW)


def _only(retriever: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(retriever, dict):
        for name, inner in retriever.items():
            if isinstance(inner, dict):
                return name, inner
    return "", {}


def _rank_window(name: str, retriever: Mapping[str, Any]) -> int:
    if name != "rescorer":
        return _number(retriever.get("rank_window_size"))
    sizes = [_number(step.get("window_size")) for step in _objects(retriever.get("rescore"))]
    return min(sizes, default=_COMPOUND_DEFAULT)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _COMPOUND_DEFAULT


def _rescored(rescore: Any) -> int | None:
    """Return how many hits keep their order however many are asked for, None where all do."""
    sizes = [_number(step.get("window_size", _RESCORE_DEFAULT)) for step in _objects(rescore) if not _raises(step)]
    return min(sizes, default=None)


def _raises(step: Mapping[str, Any]) -> bool:
    """Return whether a hit that was rescored never falls behind one that was not."""
    query = step.get("query")
    if not isinstance(query, dict):
        return False
    weights = [query.get("query_weight", 1.0), query.get("rescore_query_weight", 1.0)]
    return query.get("score_mode", "total") in _RAISING and all(
        isinstance(weight, int | float) and weight >= 0 for weight in weights
    )


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _depends_on_size(body: Any) -> bool:
    """Return whether anything in a body, however deep, takes as many neighbours as there are hits on the page."""
    return any(_sized(name, value) for name, value in _members(body))


def _members(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield all members of all objects; not recursive, since Elasticsearch takes a thousand levels."""
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node.items()
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _sized(name: str, clause: Any) -> bool:
    if name == "knn":
        return any("field" in item and item.get("k") is None for item in _objects(clause))
    if name == "hybrid":  # OpenSearch's, of which each part finds as many hits as are asked for
        return any("queries" in item and item.get("pagination_depth") is None for item in _objects(clause))
    if name == "semantic":
        return any("field" in item for item in _objects(clause))
    return name == "wrapper" and isinstance(clause, dict) and _wrapped(clause.get("query"))


def _wrapped(text: Any) -> bool:
    """Tell the same of a query in base64; one that cannot be read may hold anything."""
    try:
        query = decode(base64.b64decode(text))
    except (TypeError, ValueError):
        return True
    return _depends_on_size(query)


_NONE = ListLimit()


def window(from_: int, size: int, window_size: int, limit: ListLimit = _NONE, *, ends: bool = False) -> Window | Reason:
    """Return the window of a page, or why the page is Elasticsearch's own.

    A page that starts beyond the window holds only the list's own tail, unless the list ``ends`` with its window
    (`ext.rescore.min_score`): then it holds nothing. A ``limit`` bounds the window.
    """
    if size == 0:
        return Reason.SIZE_0
    if limit.hits is not None:
        window_size = min(window_size, limit.hits)
        if size > limit.hits:
            return limit.reason
    if limit.exact:
        window_size = min(window_size, size)
    if from_ >= window_size and not ends:
        return Reason.KNN_SIZE if limit.exact else Reason.BEYOND_WINDOW
    end = limit.hits if limit.ends else None
    return Window(size_rescored=window_size, from_=from_, size=size, end=end, exact=limit.exact)
