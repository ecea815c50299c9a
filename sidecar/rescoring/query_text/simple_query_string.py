"""The searched texts of a simple query string, under the flags that turn its operators on.

Follows Lucene's simple query parser, which refuses nothing: operators that lead nowhere are overlooked. Every character
is read a fixed number of times.
Source: Elasticsearch reference, "Simple query string query".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any, Final

from sidecar.rescoring.query_text.query_string import LONGEST, run_of

_BITS: Final = {
    "AND": 1,
    "NOT": 2,
    "OR": 4,
    "PREFIX": 8,
    "PHRASE": 16,
    "PRECEDENCE": 32,
    "ESCAPE": 64,
    "WHITESPACE": 128,
    "FUZZY": 256,
    "NEAR": 512,
}
ALL: Final = frozenset(_BITS)
# What ends a word, by the flag that makes it do so.
_ENDS: Final = {"AND": "+", "OR": "|", "PHRASE": '"', "PRECEDENCE": "()", "WHITESPACE": " \t\n\r"}
_SPECIAL: Final = re.compile(r'[\\~+|"() \t\n\r]')
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
# `c++` is what the user typed, though Elasticsearch reads its end as operators.
_PLUSES: Final = re.compile(r"\++(?=[\s).,;:?!]|\Z)")


def flags_of(value: Any) -> Set[str]:
    """Return the operators that `flags` turns on: names with `|` between, or a number; all are the default."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {name for name, bit in _BITS.items() if value & bit}
    if not isinstance(value, str) or not value:
        return ALL
    flags = set()
    for name in value.upper().replace("SLOP", "NEAR").split("|"):
        if name in ("NONE", "ALL"):
            return ALL if name == "ALL" else frozenset()
        flags.add(name)
    return flags


def texts(text: str, flags: Set[str] = ALL) -> Iterator[str]:
    """Yield the texts of the clauses, in order: runs of words, and phrases. What `-` excludes does not count."""
    return _Reader(text[:LONGEST], flags).read()


class _Reader:
    """State over the characters of one simple query string."""

    def __init__(self, text: str, flags: Set[str]) -> None:
        self._text = text
        self._flags = flags
        self._ends = "".join(characters for flag, characters in _ENDS.items() if flag in flags)
        self._minus = "-" if "NOT" in flags else ""
        self._escape = "\\" if "ESCAPE" in flags else ""
        self._fuzzy = "~" if "FUZZY" in flags else ""
        self._at = 0
        self._scopes = [(len(text), True)]  # where each open parenthesis ends, and whether its words count
        self._closing = self._pairs() if "PRECEDENCE" in flags else {}
        self._negated = False
        self._unpaired = 0  # up to here no quotation mark has a partner
        self._words: list[tuple[str, str]] = []  # as typed and as meant, of the text under way
        self._word_end = -1

    def read(self) -> Iterator[str]:
        """Yield the texts."""
        while self._scopes:
            end, _ = self._scopes[-1]
            if self._at < end and self._text[self._at] in self._minus:
                self._negated = not self._negated  # twice is not at all
                self._at += 1
                continue
            yield from self._next(end)
            self._negated = False

    def _next(self, end: int) -> Iterator[str]:
        if self._at >= end:
            self._scopes.pop()
            self._at = end + 1
            yield from self._flush()
        elif self._text[self._at] not in self._ends:
            self._word(end)
        elif self._text[self._at] == '"':
            yield from self._phrase(end)
        elif self._text[self._at] == "(":
            yield from self._open()
        else:
            self._operator(end)

    def _find(self, characters: str, start: int, end: int, escape: str) -> int:
        """Return where the first of these characters is that is not escaped, ``end`` where none is."""
        at = start
        while found := _SPECIAL.search(self._text, at, end):
            if found[0] in characters:
                return found.start()
            at = found.end() + (found[0] in escape)
        return end

    def _word(self, end: int) -> None:
        start = self._at
        first = start + 1 + (self._text[start] in self._escape)
        self._at = min(self._find(self._ends + self._fuzzy, first, end, self._escape), end)
        typed = self._text[start : self._at]
        self._word_end = self._at
        if self._at < end and self._text[self._at] in self._fuzzy:
            self._at = self._find(self._ends, self._at, end, "")
        elif "PREFIX" in self._flags and len(typed) > 1 and typed.endswith("*") and not self._escaped(typed[:-1]):
            typed = typed[:-1]
        self._add(typed)

    def _escaped(self, before: str) -> bool:
        return bool(self._escape) and (len(before) - len(before.rstrip("\\"))) % 2 == 1

    def _phrase(self, end: int) -> Iterator[str]:
        start = self._at + 1
        closing = end if self._at < self._unpaired else self._find('"', start, end, self._escape)
        self._at = start
        if closing == end:
            self._unpaired = max(self._unpaired, end)
            return
        yield from self._flush()
        self._add(self._text[start:closing])
        yield from self._flush()
        self._at = closing + 1
        if "NEAR" in self._flags and self._text[self._at : min(self._at + 1, end)] == "~":
            self._at = self._find(self._ends, self._at, end, "") + 1  # Lucene drops the character behind

    def _open(self) -> Iterator[str]:
        closing = self._closing.get(self._at)
        self._at += 1
        if closing is not None:
            yield from self._flush()
            self._scopes.append((closing, self._counts()))

    def _operator(self, end: int) -> None:
        pluses = _PLUSES.match(self._text, self._at, end) if self._at == self._word_end else None
        if pluses and self._words and self._counts():
            typed, meant = self._words[-1]
            self._words[-1] = typed + pluses[0], meant + pluses[0]
        self._at = pluses.end() if pluses else self._at + 1

    def _counts(self) -> bool:
        return self._scopes[-1][1] and not self._negated

    def _add(self, typed: str) -> None:
        meant = _ESCAPE.sub(r"\1", typed) if self._escape else typed
        if meant and self._counts():
            self._words.append((typed, meant))

    def _flush(self) -> Iterator[str]:
        """Yield the text under way."""
        if self._words:
            yield run_of(self._words)
        self._words.clear()

    def _pairs(self) -> dict[int, int]:
        """Return where each parenthesis that is closed ends; the others mean nothing."""
        found: dict[int, int] = {}
        opened: list[int] = []
        at, end = 0, len(self._text)
        while (at := self._find("()", at, end, self._escape)) < end:
            if self._text[at] == "(":
                opened.append(at)
            elif opened:
                found[opened.pop()] = at
            at += 1
        return found
