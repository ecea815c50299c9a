"""The searched texts of a query string, its syntax removed.

Follows the grammar of Lucene's classic query parser, which Elasticsearch refines: unescaped comparisons (`count:>10`)
and `_exists_`. Every pattern is read without going back, so that no text takes more than linear time.
Source: Elasticsearch reference, "Query string query" (syntax).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import Final

_SPACE: Final = r"[ \t\n\r\u3000]"
_SPECIAL: Final = r"\ \t\n\r\u3000!():^\[\]\"{}~*?\\/"
_CHARACTER: Final = rf"(?:[^{_SPECIAL}]|\\.)"  # inside a term, where `+` and `-` are ordinary
# A phrase or range that never ends takes the rest: Elasticsearch refuses such a query.
_TOKEN: Final = re.compile(
    rf"""
      (?P<bare>[+\-!]{_SPACE})
    | (?P<not>[-!]) | (?P<must>\+)
    | (?P<phrase>"[^"\\]*+(?:\\.[^"\\]*+)*+"?+)
    | (?P<similar>~{_CHARACTER}*+)
    | (?P<boost>\^[0-9.]*+)
    | (?P<regex>/[^/]*+(?:(?<=\\)/[^/]*+)*/)
    | (?P<range>[\[{{](?:{_SPACE}++|"(?:\\"|[^"])++"(?![^\ \]}}])|[^\ \]}}]++)*+[\]}}]?+)
    | (?P<word>(?:[^+\-{_SPECIAL}]|\\.|[*?])(?:{_CHARACTER}|[*?])*+)
    | (?P<open>\() | (?P<close>\)) | (?P<colon>:)
    | (?P<space>{_SPACE}++)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPERATORS: Final = {"AND": "and", "&&": "and", "OR": "or", "||": "or", "NOT": "not"}
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_WILDCARD: Final = re.compile(r"(\\.)|[*?]", re.DOTALL)
# Terms in a row are analysed as one text, unless such a token follows.
_ENDS_RUN: Final = frozenset({"colon", "star", "similar", "boost", "and", "or"})
_END: Final = ("end", "")


LONGEST: Final = 32_768
"""Characters of a query string that are read: no model reads as many, and Elasticsearch refuses as many clauses."""

Text = tuple[str | None, str]
"""A text, and the field that it is searched in if the query string names one."""


def texts(text: str, *, named: bool = False) -> Iterator[Text]:
    """Yield the texts of a query string's clauses in order, runs of words and phrases, each with its field if any.

    What `NOT`, `!` or `-` excludes does not count, nor do ranges, comparisons and regular expressions. Of words with
    wildcards, what is spelled out counts.

    Args:
        text: the query string.
        named: whether clauses without a field search one field that the query names, so that `>10` compares.
    """
    reader = _Reader([_Scope(None, named)])
    for (kind, token), (following, _) in pairwise(chain(tokens(text[:LONGEST]), (_END,))):
        yield from reader.read(kind, token, following)
    yield from reader.flush()


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each token, white space left out."""
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "", match.group()
        if kind == "word":
            yield _word_kind(token), token
        elif kind != "space":
            yield kind, token


def _word_kind(word: str) -> str:
    if any(not match[1] for match in _WILDCARD.finditer(word)):
        return "star" if word == "*" else "wild"
    return _OPERATORS.get(word, "term")


@dataclass(frozen=True, slots=True)
class _Scope:
    """The field of clauses if they have one, whether they search a field that is named, and whether excluded."""

    name: str | None
    named: bool
    excluded: bool = False


@dataclass(slots=True)
class _Reader:
    """State over the tokens of one query string; ``groups`` are the open parentheses, innermost last."""

    groups: list[_Scope]
    clause: _Scope | None = None  # of the next clause, where a field comes before it
    excluded: bool = False  # the next clause is
    joined: bool = False  # the next clause follows an operator
    run: bool = False  # a term may go on with the run before it
    compared: bool = False  # the run is one operand
    name: str | None = None  # the field of the text under way
    words: list[tuple[str, str]] = field(default_factory=list)  # its words, as typed and as meant

    def read(self, kind: str, token: str, following: str) -> Iterator[Text]:
        """Take a token and the kind of the next one; yield the texts that are complete."""
        self.run = self.run and kind == "term" and following != "colon"
        if kind in ("term", "star") and following == "colon":
            self.clause = _Scope(unescaped(token), True, self.groups[-1].excluded)
        elif kind == "term":
            yield from self._term(token, following)
        elif kind == "phrase":
            yield from self._phrase(token)
        elif kind in ("open", "close"):
            yield from self.flush()
            self._group(kind)
        elif kind in ("not", "must", "and", "or"):
            self.excluded, self.joined = kind == "not", True
        elif kind in ("bare", "wild", "star", "regex", "range"):
            yield from self._other(kind, token)

    def flush(self) -> Iterator[Text]:
        """Yield the text under way."""
        if self.words:
            yield self.name, run_of(self.words)
        self.words.clear()

    def _term(self, token: str, following: str) -> Iterator[Text]:
        meant = unescaped(token)
        if not (self.run and following not in _ENDS_RUN):
            self.run = self.clause is None and not self.joined
            self.compared = self._scope().named and meant[0] in "<>" and len(meant) > 1 and following != "similar"
        yield from self._add(token, "" if self.compared else meant)

    def _phrase(self, token: str) -> Iterator[Text]:
        yield from self.flush()
        inner = token[1:-1] if len(token) > 1 and token.endswith('"') else token[1:]
        yield from self._add(inner, unescaped(inner))
        yield from self.flush()

    def _other(self, kind: str, token: str) -> Iterator[Text]:
        meant = {"bare": token[0], "wild": spelled_out(token)}
        yield from self._add(token, meant.get(kind, ""))

    def _add(self, typed: str, meant: str) -> Iterator[Text]:
        scope = self._scope()
        if meant and not (scope.excluded or self.excluded):
            if scope.name != self.name:
                yield from self.flush()
            self.name = scope.name
            self.words.append((typed, meant))
        self._settle()

    def _scope(self) -> _Scope:
        return self.clause or self.groups[-1]

    def _group(self, kind: str) -> None:
        if kind == "open":
            scope = self._scope()
            self.groups.append(replace(scope, excluded=scope.excluded or self.excluded))
        elif len(self.groups) > 1:
            self.groups.pop()
        self._settle()

    def _settle(self) -> None:
        self.clause, self.excluded, self.joined = None, False, False


def run_of(words: Sequence[tuple[str, str]]) -> str:
    """Return words, each as typed and as meant, as one text; `jet-engine jet\\-engine` is the same word twice."""
    plain = {typed for typed, meant in words if typed == meant}
    return " ".join(meant for typed, meant in words if typed == meant or meant not in plain)


def spelled_out(text: str) -> str:
    """Return what a pattern spells out, its wildcards removed."""
    return unescaped(_WILDCARD.sub(lambda match: match[1] or " ", text)).strip()


def unescaped(text: str) -> str:
    """Return a text without the backslashes that escape; `\\u0041` is a character's number."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)
