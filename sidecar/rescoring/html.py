"""HTML to text, in one pass over it.

Parsers that build a tree, and the standard library's, take quadratic time for what is never closed or oddly nested;
a model that reads words needs neither a tree nor attributes. Source of the rules: HTML standard, "Tokenization".
"""

from __future__ import annotations

import html
import re

_START = re.compile(r"<(?:/?[a-zA-Z]|[!?])")
_TAG = re.compile(r"""</?([a-zA-Z][^\s/>]*+)(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
_TO_BRACKET = re.compile(r"</?([a-zA-Z][^\s/>]*+)[^>]*+>")
_DECLARATION = re.compile(r"<[!?][^>]*+>")
_CLOSING = {name: re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE) for name in ("script", "style")}


def strip_html(text: str) -> str:
    """Remove tags, comments, scripts and entities; white space is folded where tags were."""
    if "<" not in text and "&" not in text:
        return text
    return " ".join(html.unescape("".join(_Pieces(text).all())).split())


class _Pieces:
    """The texts between a text's markup. What is missed once up to the text's end is not searched for again."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quotes = self._comments = self._brackets = True

    def all(self) -> list[str]:
        """Return the texts, a space for each tag between them."""
        pieces: list[str] = []
        start = 0
        opened = _START.search(self._text)
        while opened is not None and self._brackets:
            at = opened.start()
            end = self._end(at)
            if end is not None:
                pieces += (self._text[start:at], "" if opened[0] in ("<!", "<?") else " ")
                start = end
            opened = _START.search(self._text, at + 2 if end is None else end)
        return [*pieces, self._text[start:]]

    def _end(self, at: int) -> int | None:
        """Return where the markup at ``at`` ends, None when it is only text."""
        if self._text.startswith(("<!", "<?"), at):
            return self._end_of_declaration(at)
        found = _TAG.match(self._text, at) if self._quotes else None
        if found is None:  # a quote is never closed: from here on, none counts
            self._quotes = False
            found = _TO_BRACKET.match(self._text, at)
        if found is None:
            self._brackets = False
            return None
        closing = None if found[0].startswith("</") else _CLOSING.get(found[1].lower())
        return found.end() if closing is None else self._end_of_hidden(closing, found.end())

    def _end_of_declaration(self, at: int) -> int | None:
        if self._comments and self._text.startswith("<!--", at):
            end = self._text.find("-->", at + 4)
            self._comments = end >= 0
            if self._comments:
                return end + 3
        found = _DECLARATION.match(self._text, at)
        self._brackets = found is not None
        return None if found is None else found.end()

    def _end_of_hidden(self, closing: re.Pattern[str], at: int) -> int:
        """Return where a script or style sheet ends, whose text nobody sees."""
        found = closing.search(self._text, at)
        return len(self._text) if found is None else found.start()
