"""What a request line is to Elasticsearch: a search of some kind, or nothing that concerns us.

Elasticsearch's router percent-decodes each path segment once and drops empty segments, so `//_search`,
`/%74/_search` and `/_search/` are searches while `/idx%2f_search` is a document request. The same is done
here. Source: Elasticsearch's `RestController`/`PathTrie` behaviour and REST API reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

from sidecar.reasons import Reason

_READ = frozenset({"GET", "POST"})


@dataclass(frozen=True, slots=True)
class NotSearch:
    """Nothing that concerns us: streamed without a header."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A search endpoint that is passed through, with the reason."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Search:
    """`_search`. ``index`` is the decoded index expression, None when the path names none."""

    index: str | None


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """`_msearch`. ``index`` is the default of sub-searches that name none."""

    index: str | None


@dataclass(frozen=True, slots=True)
class TemplateSearch:
    """`_search/template`."""

    index: str | None


@dataclass(frozen=True, slots=True)
class MultiTemplateSearch:
    """`_msearch/template`."""

    index: str | None


@dataclass(frozen=True, slots=True)
class AsyncSearch:
    """`_async_search`, submitted."""

    index: str | None


@dataclass(frozen=True, slots=True)
class AsyncGet:
    """`_async_search/<id>`, fetched."""

    id: str


@dataclass(frozen=True, slots=True)
class PointInTimeOpen:
    """`POST <index>/_pit`."""

    index: str


Route = (
    NotSearch
    | Skipped
    | Search
    | MultiSearch
    | TemplateSearch
    | MultiTemplateSearch
    | AsyncSearch
    | AsyncGet
    | PointInTimeOpen
)

SEARCHES: dict[tuple[str, ...], Callable[[str | None], Route]] = {
    ("_search",): Search,
    ("_msearch",): MultiSearch,
    ("_search", "template"): TemplateSearch,
    ("_msearch", "template"): MultiTemplateSearch,
    ("_async_search",): AsyncSearch,
}
# First words of further search endpoints, and why their answers are left alone.
SKIPPED: Final = {
    ("_search", "scroll"): Reason.SCROLL,
    ("_knn_search",): Reason.KNN_SEARCH,
    ("_mvt",): Reason.VECTOR_TILE,
    ("_rank_eval",): Reason.RANK_EVAL,
    ("_rollup_search",): Reason.ROLLUP,
    ("_eql", "search"): Reason.EQL,
    ("_fleet", "_fleet_search"): Reason.FLEET_SEARCH,
    ("_fleet", "_fleet_msearch"): Reason.FLEET_SEARCH,
}
_APPLICATION: Final = ["_application", "search_application"]
_SEPARATOR = re.compile("[&;]")


def route(method: str, target: str) -> Route:
    """Give the route of a request line; ``target`` is the raw request target, query string and all."""
    if method not in _READ:
        return NotSearch()
    parts = [unquote(part) for part in target.partition("?")[0].split("/") if part]
    if not parts or all(not part.startswith("_") for part in parts[:2]):
        return NotSearch()
    index, words = (None, parts) if parts[0].startswith("_") and parts[0] != "_all" else (parts[0], parts[1:])
    return _by_words(method, index, words)


def _by_words(method: str, index: str | None, words: list[str]) -> Route:
    kind = SEARCHES.get(tuple(words))
    if kind is not None:
        return kind(index) if kind is not AsyncSearch or method == "POST" else NotSearch()
    if index is None and len(words) == 2 and words[0] == "_async_search" and method == "GET":
        return AsyncGet(words[1])
    if index is not None and words == ["_pit"] and method == "POST":
        return PointInTimeOpen(index)
    if index is None and len(words) == 4 and (words[:2], words[3]) == (_APPLICATION, "_search"):
        return Skipped(Reason.SEARCH_APPLICATION)
    for known, reason in SKIPPED.items():
        if tuple(words[: len(known)]) == known:
            return Skipped(reason)
    return NotSearch()


_NAMES: Final[Mapping[type, str]] = {
    MultiSearch: "msearch",
    TemplateSearch: "search_template",
    MultiTemplateSearch: "msearch_template",
    AsyncSearch: "async_search",
    AsyncGet: "async_search",
    PointInTimeOpen: "pit",
}


def endpoint(found: Route) -> str:
    """Give the short name of an endpoint, for metrics and logs."""
    return _NAMES.get(type(found), "search")


def index_of(found: Route) -> str | None:
    """Give the index expression in a route's path, None where there is none."""
    return None if isinstance(found, NotSearch | Skipped | AsyncGet) else found.index


def parameters(target: str) -> dict[str, str]:
    """Give the query parameters as Elasticsearch reads them.

    `+` is a space, `;` separates as `&` does, and the last of a name wins: seen on 9.5.3 and 8.19.
    """
    found: dict[str, str] = {}
    for pair in _pairs(target):
        name, _, value = pair.partition("=")
        found[unquote_plus(name)] = unquote_plus(value)
    return found


def with_parameters(target: str, removed: frozenset[str], added: Mapping[str, str]) -> str:
    """Give the target with parameters removed and others added; the rest stays byte for byte.

    ``added`` values are written as they are: percent-encode them first.
    """
    path = target.partition("?")[0]
    kept = [pair for pair in _pairs(target) if unquote_plus(pair.partition("=")[0]) not in removed]
    kept += [f"{name}={value}" for name, value in added.items()]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _pairs(target: str) -> list[str]:
    return [pair for pair in _SEPARATOR.split(target.partition("?")[2]) if pair]
