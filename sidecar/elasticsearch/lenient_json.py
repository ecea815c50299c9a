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
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|/\*(?:.*?\*/|.*)|//[^\r\n]*|\xef\xbb\xbf|[\[{\]}]', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(u)[dD]([89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
_SURROGATE = re.compile(rb"\xed([\xa0-\xbf][\x80-\xbf])")
_BYTE_OUT_OF_PLACE = re.compile("[\udc80-\udcff]")


def _named(match: re.Match[bytes]) -> bytes:
    """Return E800 to EFFF, which are for private use, for D800 to DFFF: different names stay different."""
    return match[0] if match[1] is None else b"\\uE" + match[2]


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\uFFFD"


def decode(text: bytes | memoryview, type_: Any = Any) -> Any:
    """Decode a value; what no character stands for becomes U+FFFD, and what is nested too deep becomes 0.

    Raises:
        ValueError: it is not JSON, or not of this type.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        value = json.loads(strict(bytes(text), names=False), parse_int=_integer, parse_constant=_no_constant)
        return value if type_ is Any else msgspec.convert(value, type_)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def without_comments(text: bytes) -> bytes:
    """Return the text with spaces for comments and byte order marks; strings keep their bytes."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return _TOKEN.sub(lambda token: token[0] if token[0][:1] in b'"[]{}' else _blank(token[0]), text)
    return text


def _blank(token: bytes) -> bytes:
    return b" " * len(token)


def strict(text: bytes, *, names: bool) -> bytes:
    """Return the text as plain JSON of the same length; text that is no JSON at all stays none.

    ``names`` keeps strings apart that differ in what is no character, as the names of members do; else each such
    becomes U+FFFD, or `?` where there is no room for it.
    """
    return b"".join(_pieces(text, names=names))


def _pieces(text: bytes, *, names: bool) -> Iterator[bytes]:
    position = depth = 0
    for token in _TOKEN.finditer(text):
        opens, closes = token[0] in b"[{", token[0] in b"]}"
        depth += opens
        if depth <= _DEPTH:
            yield text[position : token.start()]
            yield _plain(token[0], names=names)
            position = token.end()
        elif depth == _DEPTH + 1 and opens:
            yield text[position : token.start()]
            position = token.start()
        elif depth == _DEPTH + 1 and closes:
            yield b"0".ljust(token.end() - position)
            position = token.end()
        depth -= closes
    yield text[position:]


def _plain(token: bytes, *, names: bool) -> bytes:
    if token[:1] != b'"':
        return token if len(token) == 1 else _blank(token)  # a bracket; a comment or a mark
    if b"\\" in token:
        token = _ESCAPED_SURROGATE.sub(_named if names else _replaced, token)
    return token if token.isascii() else _utf8(token, names=names)


def _utf8(token: bytes, *, names: bool) -> bytes:
    """Return a string whose bytes are UTF-8: of a surrogate three bytes are one character, of others each is."""
    token = _SURROGATE.sub(b"\xee\\1" if names else b"\xef\xbf\xbd", token)
    text = token.decode("utf-8", "surrogateescape")
    return _BYTE_OUT_OF_PLACE.sub("?", text).encode()
