"""How headers cross the proxy: as the bytes they are, whatever their encoding.

aiohttp's own serializer drops bytes that are not UTF-8, while Elasticsearch and its clients may send Latin-1
(RFC 9110 section 5.5: a recipient treats other octets as opaque data). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.proxy.headers import Headers

_LOSSLESS = ("utf-8", "surrogateescape")


def text(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Give headers as text from which ``head`` makes the same bytes again."""
    return [(name.decode(*_LOSSLESS), value.decode(*_LOSSLESS)) for name, value in raw]


def octets(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Give the bytes that ``text`` was made from."""
    return [(name.encode(*_LOSSLESS), value.encode(*_LOSSLESS)) for name, value in headers]


def head(start_line: str, headers: Headers | Iterable[tuple[str, str]]) -> bytes:
    """Give the bytes of a message's head.

    Raises:
        ValueError: a line holds a line break, and would smuggle in another.
    """
    lines = [start_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    joined = "\r\n".join(lines)
    if joined.count("\n") != len(lines) - 1 or joined.count("\r") != len(lines) - 1 or "\0" in joined:
        raise ValueError("a header holds a line break or a null byte")
    return joined.encode(*_LOSSLESS)
