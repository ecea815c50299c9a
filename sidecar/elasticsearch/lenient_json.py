"""Reads JSON as Elasticsearch writes it, which is a little more than JSON.

Elasticsearch stores documents byte for byte and puts them into its answers as they came: with comments, a byte order
mark, halves of surrogate pairs (an emoji cut in two), bytes that are not UTF-8, numbers beyond all floats, and nested a
thousand deep (each observed on 9.5.3). One such document must not make an answer unreadable. ``strict`` is the same
text as plain JSON of the same length, so that positions in it are positions in the original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_DEPTH: Final = 200  # Elasticsearch takes a thousand, Python's stack hardly; mapped fields end at 20 by default
_LONGEST_INTEGER: Final = 4000  # digits; Python refuses a few more
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|/\*(?:.*?\*/|.*)|//[^\r\n]*|\xef\xbb\xbf|[\[{\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# As much as there is of what is no half of a pair, at once, since most of a text is in order; then one that is.
_LONE = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2}).)*+"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})?",
    re.DOTALL,
)
_SURROGATE = re.compile(rb"\xed([\xa0-\xbf][\x80-\xbf])")
_BYTE_OUT_OF_PLACE = re.compile("[\udc80-\udcff]")


def decode(text: bytes | memoryview, type_: Any = Any) -> Any:
    """Decode a value; what no character stands for becomes U+FFFD, and what is nested too deep becomes 0.

    Raises:
        ValueError: it is not JSON, or not of this type.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    plain = strict(bytes(text), names=False)
    try:
        value = _loaded(plain)
        return value if type_ is Any else msgspec.convert(value, type_)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def _loaded(plain: bytes) -> Any:
    try:
        return json.loads(plain, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        return json.loads(_shallow(plain), parse_int=_integer, parse_constant=_no_constant)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def is_plain(text: bytes) -> bool:
    """Return whether a text is JSON without anything more, as far as the places of its values go."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def without_comments(text: bytes) -> bytes:
    """Return the text with spaces for comments and byte order marks; strings keep their bytes."""
    if is_plain(text) or is_plain(_characters(text, names=True)):
        return text
    return _TOKEN.sub(lambda token: token[0] if token[0][:1] in b'"[]{}' else _blank(token[0]), text)


def _blank(token: bytes) -> bytes:
    return b" " * len(token)


def strict(text: bytes, *, names: bool) -> bytes:
    """Return the text as plain JSON of the same length; text that is no JSON at all stays none.

    ``names`` keeps strings apart that differ in what is no character, as the names of members do: D800 to DFFF become
    E800 to EFFF, which are for private use. Else each becomes U+FFFD, or `?` where there is no room for it.
    """
    text = _characters(text, names=names)
    return text if is_plain(text) else _shallow(text)


def _shallow(text: bytes) -> bytes:
    """Return the text less comments and byte order marks, with 0 for what is nested too deep: token by token."""
    return b"".join(_pieces(text))


def _pieces(text: bytes) -> Iterator[bytes]:
    position = depth = 0
    for token in _TOKEN.finditer(text):
        opens, closes = token[0] in b"[{", token[0] in b"]}"
        depth += opens
        if depth <= _DEPTH:
            yield text[position : token.start()]
            yield token[0] if opens or closes or token[0][:1] == b'"' else _blank(token[0])
            position = token.end()
        elif depth == _DEPTH + 1 and opens:
            yield text[position : token.start()]
            position = token.start()
        elif depth == _DEPTH + 1 and closes:
            yield b"0".ljust(token.end() - position)
            position = token.end()
        depth -= closes
    yield text[position:]


def _characters(text: bytes, *, names: bool) -> bytes:
    """Return the text with characters for what are none, in a few passes over the whole, however many there are."""
    if _SURROGATE_ESCAPE.search(text):
        text = _paired(text, names=names)
    return text if text.isascii() else _utf8(text, names=names)


def _paired(text: bytes, *, names: bool) -> bytes:
    found = bytearray(text)
    for lone in _LONE.finditer(text):
        start, end = lone.span(1)
        if end > start:
            found[start + 2 : end] = b"E" + text[start + 3 : end] if names else b"FFFD"
    return bytes(found)


def _utf8(text: bytes, *, names: bool) -> bytes:
    """Return a text that is UTF-8: of a surrogate three bytes are one character, of others each is."""
    text = _SURROGATE.sub(b"\xee\\1" if names else b"\xef\xbf\xbd", text)
    return _BYTE_OUT_OF_PLACE.sub("?", text.decode("utf-8", "surrogateescape")).encode()
