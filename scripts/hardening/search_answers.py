"""Search answers taken apart without the code under test: raw hits, and all that is around them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecoder
from typing import Any

_JSON = JSONDecoder(strict=False)
_SPACE = re.compile(r"\s*")
_SCORE = re.compile(r'("_score"\s*:\s*)(null|[-+.\dEe]+)')
_TOOK = re.compile(r'"took"\s*:\s*\d+')
_OURS = re.compile(r'(,?)"_rescore\.[a-z_]+":\[[^\]]*\]')
_EMPTY_FIELDS = re.compile(r',"fields":\{\}')
_IDS = re.compile(r'"(pit_id|_scroll_id)"\s*:\s*"[^"]*"')


@dataclass(frozen=True)
class Listed:
    """One hit. ``plain`` is its text without what rescoring may change; ``name`` is index, id and routing."""

    raw: str
    plain: str
    name: tuple[str, str, str]
    score: float | None


@dataclass(frozen=True)
class Taken:
    """An answer: ``shell`` is its text without hits, `took`, `max_score` and `pit_id`; ``value`` is all, decoded."""

    shell: str
    hits: tuple[Listed, ...]
    value: dict[str, Any]

    @property
    def partial(self) -> bool:
        """Whether shards failed, or time ran out."""
        return bool(self.value.get("timed_out")) or bool(self.value.get("_shards", {}).get("failed"))

    @property
    def max_score(self) -> float | None:
        """The answer's `max_score`."""
        found: float | None = self.value.get("hits", {}).get("max_score")
        return found


def settled(body: bytes) -> str:
    """Return a body's text without what no two answers share."""
    return _IDS.sub(r'"\1":""', _TOOK.sub('"took":0', text(body)))


def text(body: bytes) -> str:
    """Return a body's text; bytes that are not UTF-8 stay apart from each other."""
    return body.decode("utf-8", "surrogateescape")


def take_apart(body: str) -> Taken:
    """Take a search answer apart.

    Raises:
        ValueError: it is not JSON.
    """
    value = _JSON.decode(body)
    spans: list[tuple[int, int]] = []
    hits: list[Listed] = []
    for key, start, end in _members(body, _start(body, 0)):
        if key in ("took", "pit_id"):
            spans.append((start, end))
        if key == "hits":
            spans += _of_hits(body, start, hits)
    return Taken(shell=_without(body, spans), hits=tuple(hits), value=value)


@dataclass(frozen=True)
class Reply:
    """An answer as it came; ``headers`` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def taken(self) -> Taken | None:
        """The answer taken apart, None where it is an error or not JSON."""
        try:
            return take_apart(text(self.body)) if self.status == 200 else None
        except ValueError:
            return None


@dataclass(frozen=True)
class Outcome:
    """What `X-Rescore` says. ``kind`` "any" is a search of an `_msearch`, which has no header of its own."""

    kind: str
    reason: str = ""
    window: int = 0

    @classmethod
    def read(cls, header: str) -> Outcome:
        """Read the header's value."""
        kind, *rest = [part.strip() for part in header.split(";")]
        values = dict(part.split("=", 1) for part in rest if "=" in part)
        return cls(kind, values.get("reason", ""), int(values.get("window", 0)))


def _of_hits(body: str, at: int, hits: list[Listed]) -> list[tuple[int, int]]:
    spans = []
    for key, start, end in _members(body, at):
        if key in ("max_score", "hits"):
            spans.append((start, end))
        if key == "hits":
            hits += [_listed(body[first:last]) for first, last in _elements(body, start)]
    return spans


def responses(body: str) -> list[str]:
    """Return the answers in an `_msearch` answer."""
    found = {key: start for key, start, _ in _members(body, _start(body, 0))}
    return [body[start:end] for start, end in _elements(body, found["responses"])]


def _listed(raw: str) -> Listed:
    value = _JSON.decode(raw)
    name = (value.get("_index", ""), value.get("_id", ""), value.get("_routing", ""))
    return Listed(raw=raw, plain=_plain(raw), name=name, score=value.get("_score"))


def _plain(raw: str) -> str:
    """Return a hit without `_score`, `_explanation` and what `ext.rescore.explain` adds."""
    spans = [(start, end) for key, start, end in _members(raw, 0) if key == "_explanation"]
    found = _SCORE.sub(r"\1*", _without(raw, spans), count=1)
    if '"_rescore.' in found:
        found = _EMPTY_FIELDS.sub("", _OURS.sub("", found).replace('"fields":{,', '"fields":{'))
    return found


def explanation(raw: str) -> str:
    """Return the text of a hit's `_explanation`, nothing where it has none."""
    return next((raw[start:end] for key, start, end in _members(raw, 0) if key == "_explanation"), "")


def _without(body: str, spans: list[tuple[int, int]]) -> str:
    pieces, at = [], 0
    for start, end in sorted(spans):
        pieces.append(body[at:start])
        at = end
    return "*".join([*pieces, body[at:]])


def _start(body: str, at: int) -> int:
    found = _SPACE.match(body, at)
    return at if found is None else found.end()


def _members(body: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Yield key, start and end of each member of the object that starts at ``at``."""
    at = _start(body, at + 1)
    while body[at] != "}":
        key, at = _JSON.raw_decode(body, at)
        start = _start(body, _start(body, at) + 1)
        _, end = _JSON.raw_decode(body, start)
        yield key, start, end
        at = _start(body, end)
        at = _start(body, at + 1) if body[at] == "," else at


def _elements(body: str, at: int) -> Iterator[tuple[int, int]]:
    at = _start(body, at + 1)
    while body[at] != "]":
        _, end = _JSON.raw_decode(body, at)
        yield at, end
        at = _start(body, end)
        at = _start(body, at + 1) if body[at] == "," else at
