"""The words of a Lucene query string, its syntax removed. Source: Elasticsearch's query string syntax."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"""
      (?P<range>[\[{][^\]}]*\sTO\s[^\]}]*[\]}])
    | (?P<regex>(?<![^\s(:])/(?:[^/\\]|\\.)+/(?=[\s)^]|$))
    | (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<field>(?:[^\s:"()\[\]{}\\+!-]|\\.)(?:[^\s:"()\[\]{}\\]|\\.)*:(?=\S))
    | (?P<operator>&&|\|\||[<>]=?\S*)
    | (?P<suffix>(?<=[\w")\]}*?])[~^]\d*(?:\.\d+)?)
    | (?P<punctuation>[()\[\]{}+|!^~"])
    | (?P<minus>(?<![^\s(])-)
    | (?P<word>(?:[^\s:"()\[\]{}\\+|!^~&]|\\.|:(?!\S)|(?<=[\w+])\+|(?<=\w)[!&|])+)
    | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD_OPERATORS = frozenset({"AND", "OR", "NOT"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def words(text: str, counts: Callable[[str], bool] = lambda field: True, *, simple: bool = False) -> str:
    """Give the searched words in order, one space between.

    ``counts(field)`` tells whether clauses restricted to a field add text. What follows `NOT` or `-`
    is excluded by the user, so it does not count; nor do ranges, regular expressions and wildcards' stars.
    ``simple`` is the simple query string: no fields, no word operators.
    """
    out: list[str] = []
    taking = _Taking(counts, simple)
    for match in _TOKEN.finditer(text):
        piece = taking.piece(match.lastgroup or "", match.group())
        if piece:
            out.append(piece)
    return " ".join(out)


class _Taking:
    """What of the running text counts: state over the tokens of one query string."""

    def __init__(self, counts: Callable[[str], bool], simple: bool) -> None:
        self._counts = counts
        self._simple = simple
        self._skips: list[bool] = [False]
        self._next_skipped = False
        self._field_ok = True

    def piece(self, kind: str, text: str) -> str:
        """Give the text that a token adds, maybe none."""
        if kind in ("phrase", "word", "field") and not (kind == "field" and not self._simple):
            return self._text(text[1:-1] if kind == "phrase" else text)
        if kind == "field":
            name = _ESCAPE.sub(r"\1", text[:-1])
            self._field_ok = name != "_exists_" and self._counts(name)
        elif text == "(":
            self._skips.append(self._skips[-1] or self._next_skipped or not self._field_ok)
            self._settle()
        elif text == ")" and len(self._skips) > 1:
            self._skips.pop()
        elif kind == "minus" or text == "!":
            self._next_skipped = True
        elif kind in ("range", "regex"):
            self._settle()
        return ""

    def _settle(self) -> None:
        self._next_skipped, self._field_ok = False, True

    def _text(self, text: str) -> str:
        if not self._simple and text in _WORD_OPERATORS:
            self._next_skipped = self._next_skipped or text == "NOT"
            return ""
        skipped = self._skips[-1] or self._next_skipped or not self._field_ok
        self._settle()
        plain = _ESCAPE.sub(r"\1", text.replace("*", " ").replace("?", " ") if "\\" not in text else text)
        return "" if skipped else " ".join(plain.split())
