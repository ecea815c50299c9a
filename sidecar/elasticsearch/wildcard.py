"""Elasticsearch's simple patterns: `*` stands for any characters, everything else for itself.

No regular expressions here: they backtrack, and patterns and names both come from clients. Each function passes over
its input once.
"""

from __future__ import annotations

from collections.abc import Iterable

ANY = "*"


def matches(pattern: str, name: str) -> bool:
    """Return whether a name fits a pattern; `*` reaches over dots, as in field patterns and source filters."""
    if ANY not in pattern:
        return pattern == name
    first, *inner, last = pattern.split(ANY)
    end = len(name) - len(last)
    if end < len(first) or not name.startswith(first) or not name.endswith(last):
        return False
    at = len(first)
    for literal in inner:  # the leftmost place is as good as any: nothing has to be tried again
        if literal:
            at = name.find(literal, at, end)
            if at < 0:
                return False
            at += len(literal)
    return True


class Patterns:
    """Patterns one after the other as bits of an integer, so that all of them read a name in one pass.

    A set bit is a place in a pattern that can be reached: before each of its literal characters, and behind the last
    one, where the pattern ends. The place behind a pattern's end is where the next one starts. (The Shift-And
    algorithm: Baeza-Yates and Gonnet, "A new approach to text searching", 1992.)
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._stays = 0
        self._takes: dict[str, int] = {}
        place = 1
        for pattern in patterns:
            self.starts.append(place)
            for char in pattern:
                if char == ANY:
                    self._stays |= place
                else:
                    self._takes[char] = self._takes.get(char, 0) | place
                    place <<= 1
            self.ends.append(place)
            place <<= 1

    def after(self, places: int, text: str) -> int:
        """Return the places that are reached from ``places`` by reading ``text``."""
        stays, takes = self._stays, self._takes
        for char in text:
            if not places:
                return 0
            places = ((places & takes.get(char, 0)) << 1) | (places & stays)
        return places


def overlap(left: str, right: str) -> bool:
    """Return whether some name matches both patterns."""
    patterns = Patterns([left])
    places, last = 1, patterns.ends[0]
    first, *rest = right.split(ANY)
    places = patterns.after(places, first)
    for literal in rest:
        places = patterns.after(_from_lowest(places, last), literal)
    return bool(places & last)


def _from_lowest(places: int, last: int) -> int:
    """Return every place that any text at all leads to: `*` of one pattern against the other's remainder."""
    return (2 * last - 1) & -(places & -places) if places else 0
