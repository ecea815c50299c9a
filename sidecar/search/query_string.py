"""The words of a query string, its syntax removed.

Source: Elasticsearch reference, "Query string query" (syntax) and "Simple query string query".
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Every repetition that can fail late is bounded, so that no text takes more than linear time.
_LUCENE = re.compile(
    r"""
      (?P<range>[\[{]\s?[^\[\]{}\s]{1,128}\sTO\s[^\[\]{}\s]{1,128}\s?[\]}])
    | (?P<regex>(?<![^\s(:])/(?:[^/\\]|\\.){1,1024}/(?=[\s)^]|$))
    | (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<field>(?<![^\s(+!-])(?:[^\s:"()\[\]{}\\+!-]|\\.)(?:[^\s:"()\[\]{}\\]|\\.){0,255}:(?=\S))
    | (?P<operator>&&|\|\||[<>]=?\S*)
    | (?P<suffix>(?<=[\w")\]}*?])[~^]\d*(?:\.\d+)?)
    | (?P<punctuation>[()\[\]{}+|!^~"])
    | (?P<minus>(?<![^\s(])-)
    | (?P<word>(?:[^\s:"()\[\]{}\\+|!^~&]|\\.|:(?!\S)|(?<=[\w+])\+|(?<=\w)[!&|])+)
    | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = re.compile(
    r"""
      (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<suffix>(?<=[\w"])~\d*(?=[\s)|]|$))
    | (?P<punctuation>[()|"]|\+(?!\+|\s|$))
    | (?P<minus>(?<![^\s(|+])-)
    | (?P<word>(?:[^\s()|"\\+~]|\\.|(?<=[\w+])\+|~(?!\d*(?:[\s)|]|$)))+)
    | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD_OPERATORS = frozenset({"AND", "OR", "NOT"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED_WILDCARD = re.compile(r"(\\.)|[*?]", re.DOTALL)
_PREFIX_OPERATOR = re.compile(r"(\\.)|\*$", re.DOTALL)


def words(
    text: str, counts: Callable[[str], bool] = lambda field: True, *, default: bool = True, simple: bool = False
) -> str:
    """Give the searched words in order, one space between.

    What follows `NOT`, `!` or `-` is excluded by the user, so it does not count; nor do ranges, regular
    expressions and wildcards.

    Args:
        text: the query string.
        counts: tells whether clauses restricted to a field add text.
        default: whether clauses without a field add text.
        simple: it is a simple query string: no fields, no word operators.
    """
    taking = _Taking(counts, default=default, simple=simple)
    pieces = (taking.piece(match.lastgroup or "", match.group()) for match in taking.syntax.finditer(text))
    return " ".join(piece for piece in pieces if piece)


class _Taking:
    """What of the running text counts: state over the tokens of one query string."""

    def __init__(self, counts: Callable[[str], bool], *, default: bool, simple: bool) -> None:
        self.syntax = _SIMPLE if simple else _LUCENE
        self._counts = counts
        self._simple = simple
        self._group_counts: list[bool] = [default]  # of each open parenthesis, innermost last
        self._group_skipped: list[bool] = [False]
        self._next_skipped = False
        self._field_counts: bool | None = None

    def piece(self, kind: str, text: str) -> str:
        """Give the text that a token adds, maybe none."""
        if kind in ("phrase", "word"):
            return self._text(kind, text)
        if kind == "field":
            name = _ESCAPE.sub(r"\1", text[:-1])
            self._field_counts = name != "_exists_" and self._counts(name)
        elif text == "(":
            self._open()
        elif text == ")" and len(self._group_counts) > 1:
            self._group_counts.pop()
            self._group_skipped.pop()
        elif kind == "minus" or text == "!":
            self._next_skipped = True
        elif kind in ("range", "regex", "operator"):
            self._settle()
        return ""

    def _open(self) -> None:
        counts = self._group_counts[-1] if self._field_counts is None else self._field_counts
        self._group_counts.append(counts)
        self._group_skipped.append(self._group_skipped[-1] or self._next_skipped)
        self._settle()

    def _settle(self) -> None:
        self._next_skipped, self._field_counts = False, None

    def _text(self, kind: str, text: str) -> str:
        if kind == "word" and not self._simple and text in _WORD_OPERATORS:
            self._next_skipped = self._next_skipped or text == "NOT"
            return ""
        counts = self._group_counts[-1] if self._field_counts is None else self._field_counts
        skipped = self._group_skipped[-1] or self._next_skipped or not counts
        self._settle()
        return "" if skipped else _plain(text[1:-1] if kind == "phrase" else self._without_wildcards(text))

    def _without_wildcards(self, text: str) -> str:
        wildcards = _PREFIX_OPERATOR if self._simple else _UNESCAPED_WILDCARD
        return wildcards.sub(lambda match: match[1] or " ", text)


def _plain(text: str) -> str:
    return " ".join(_ESCAPE.sub(r"\1", text).split())
