"""What a request line is to Elasticsearch: a search of some kind, or nothing that concerns us.

Elasticsearch's router percent-decodes each path segment once and drops empty segments, so `//_search`,
`/%74/_search` and `/_search/` are searches while `/idx%2f_search` is a document request. The same is done
here. Source: Elasticsearch's `RestController`/`PathTrie` behaviour and REST API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

_READ = frozenset({"GET", "POST"})


@dataclass(frozen=True, slots=True)
class NotSearch:
    """Nothing that concerns us: streamed without a header."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A search endpoint that is passed through, with the reason."""

    reason: str


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

_SEARCHES = {
    ("_search",): Search,
    ("_msearch",): MultiSearch,
    ("_search", "template"): TemplateSearch,
    ("_msearch", "template"): MultiTemplateSearch,
    ("_async_search",): AsyncSearch,
}
_SKIPPED = {
    ("_search", "scroll"): "scroll",
    ("_knn_search",): "knn_search",
    ("_search_mvt",): "vector_tile",
    ("_rank_eval",): "rank_eval",
    ("_eql", "search"): "eql",
    ("_fleet", "_fleet_search"): "fleet_search",
    ("_fleet", "_fleet_msearch"): "fleet_search",
}


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
    kind = _SEARCHES.get(tuple(words))
    if kind is not None:
        return kind(index) if kind is not AsyncSearch or method == "POST" else NotSearch()
    if words[:1] == ["_async_search"] and len(words) == 2 and index is None and method == "GET":
        return AsyncGet(words[1])
    if words == ["_pit"] and index is not None and method == "POST":
        return PointInTimeOpen(index)
    for known, reason in _SKIPPED.items():
        if tuple(words[: len(known)]) == known:
            return Skipped(reason)
    return NotSearch()


def parameters(target: str) -> dict[str, str]:
    """Give the query parameters, decoded as Elasticsearch does: `+` is a space, the last of a name wins."""
    found: dict[str, str] = {}
    for pair in target.partition("?")[2].split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found[unquote_plus(name)] = unquote_plus(value)
    return found


def with_parameters(target: str, removed: frozenset[str], added: dict[str, str]) -> str:
    """Give the target with parameters removed and others added; the rest stays byte for byte."""
    path, _, query = target.partition("?")
    kept = [pair for pair in query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in removed]
    kept += [f"{name}={value}" for name, value in added.items()]
    return f"{path}?{'&'.join(kept)}" if kept else path
