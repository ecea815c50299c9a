"""Which endpoint a request line leads to.

Elasticsearch's router percent-decodes each path segment once and drops empty segments, so `//_search`,
`/%74/_search` and `/_search/` are searches while `/idx%2f_search` is a document request. The same is done
here. Source: Elasticsearch's `RestController`/`PathTrie` behaviour and REST API reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from sidecar.elasticsearch.target import decoded
from sidecar.reasons import Reason

_READ = frozenset({"GET", "POST"})
_ANY = "*"
_REST = "**"
Handler = TypeVar("Handler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[Handler]):
    """A row of the table of endpoints.

    Attributes:
        name: the metric label and log field.
        path: the path's words behind the index; `*` is any segment, `**` at the end any further ones.
        handler: what answers it; or why it is never rescored.
        methods: the methods by which it searches; others concern nobody.
        index: whether an index expression stands before the words.
        repeatable: whether its requests change nothing, whatever their method.
        several: whether its body holds several searches, each of which may name its indices.
    """

    name: str
    path: str
    handler: Handler | Reason
    methods: frozenset[str] = _READ
    index: Literal["optional", "required", "none"] = "optional"
    repeatable: bool = False
    several: bool = False

    def matches(self, method: str, index: str | None, words: list[str]) -> bool:
        """Return whether a request line with these words leads here."""
        expected = self.path.split("/")
        if method not in self.methods or (index is None and self.index == "required"):
            return False
        if index is not None and self.index == "none":
            return False
        if expected[-1] == _REST:
            expected = expected[:-1]
            words = words[: len(expected)]
        return len(words) == len(expected) and all(map(_fits, expected, words))


def _fits(expected: str, word: str) -> bool:
    return expected in (_ANY, word)


@dataclass(frozen=True, slots=True)
class Route(Generic[Handler]):
    """Where a request line leads: ``words`` are the decoded segments behind ``index``, the index expression."""

    endpoint: Endpoint[Handler]
    index: str | None
    words: tuple[str, ...]


def route(endpoints: Iterable[Endpoint[Handler]], method: str, target: str) -> Route[Handler] | None:
    """Return the route of a request line, None where it concerns none of the endpoints.

    Args:
        endpoints: the table; its first row that matches wins.
        method: the method.
        target: the raw request target, query string and all.
    """
    if method not in _READ:
        return None
    try:
        parts = [decoded(part) for part in target.partition("?")[0].split("/") if part]
    except ValueError:
        return None  # Elasticsearch refuses it
    if not parts or all(not part.startswith("_") for part in parts[:2]):
        return None
    index, words = (None, parts) if parts[0].startswith("_") and parts[0] != "_all" else (parts[0], parts[1:])
    found = next((each for each in endpoints if each.matches(method, index, words)), None)
    return None if found is None else Route(found, index, tuple(words))
