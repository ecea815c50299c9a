"""Groups: one query and texts whose order is known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

_ROUGHLY: Final = 4
"""Characters of a token."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One query with its texts and their grades; a higher grade is better, 0 is wrong.

    ``anchored``: the model is to stay near what it said of this list before, besides learning the grades.
    ``max_length`` cuts the pairs, in tokens.
    """

    query: str
    texts: tuple[str, ...]
    grades: tuple[float, ...]
    anchored: bool = True
    max_length: int = 192
    source: str = ""

    @property
    def length(self) -> int:
        """About how many tokens its longest pair has."""
        longest = max(map(len, self.texts)) + len(self.query)
        return min(self.max_length, longest // _ROUGHLY + 4)


@dataclass(frozen=True, slots=True)
class Batch:
    """Groups that are learnt from in one step."""

    groups: Sequence[Group]

    @property
    def max_length(self) -> int:
        """The longest pair allowed, in tokens."""
        return max(group.max_length for group in self.groups)


def batches(groups: Iterable[Group], tokens: int) -> list[Batch]:
    """Return batches of groups of like length, shortest first, each of about ``tokens`` tokens."""
    found: list[list[Group]] = []
    used = tokens
    for group in sorted(groups, key=lambda each: each.length):
        cost = group.length * len(group.texts)
        if used + cost > tokens:
            found.append([])
            used = 0
        found[-1].append(group)
        used += cost
    return [Batch(tuple(some)) for some in found]


def encoded(groups: Iterable[Group]) -> Iterator[bytes]:
    """Yield each group as a JSON line."""
    for group in groups:
        yield msgspec.json.encode(group) + b"\n"


def decoded(lines: Iterable[bytes]) -> list[Group]:
    """Return the groups of JSON lines."""
    decoder = msgspec.json.Decoder(Group)
    return [decoder.decode(line) for line in lines if line.strip()]
