"""Query parameters of a request target, and its parts, read and edited as Elasticsearch reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SEPARATOR = re.compile("[&;]")
_ESCAPE = re.compile(rb"%(%|[0-9a-fA-F]{2})?")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # one character to Java, three to Python


def parameters(target: str) -> dict[str, str]:
    """Return the query parameters as Elasticsearch's `RestUtils` reads them.

    `+` is a space, `;` separates as `&` does, `#` ends the query, a parameter may lack its name, and the last of a
    name wins.

    Raises:
        ValueError: an escape is not whole; Elasticsearch answers with a 400.
    """
    found: dict[str, str] = {}
    for pair in _pairs(target):
        name, _, value = pair.lstrip("=").partition("=")
        if name:
            found[decoded(name, plus=b" ")] = decoded(value, plus=b" ")
    return found


def with_parameters(target: str, removed: frozenset[str], added: Mapping[str, str]) -> str:
    """Return the target with parameters removed and others added; the rest stays byte for byte.

    ``added`` values are written as they are: percent-encode them first.
    """
    path = target.partition("?")[0]
    kept = [pair for pair in _pairs(target) if decoded(pair.lstrip("=").partition("=")[0], plus=b" ") not in removed]
    kept += [f"{name}={value}" for name, value in added.items()]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _pairs(target: str) -> list[str]:
    query = target.partition("?")[2].partition("#")[0]
    return [pair for pair in _SEPARATOR.split(query) if pair]


def decoded(text: str, *, plus: bytes = b"+") -> str:
    """Return a part of a target as Elasticsearch decodes it: `%%` is a percent sign, bytes are UTF-8 or U+FFFD.

    A part in which there is nothing to decode is taken as Latin-1, whatever its bytes (observed on 9.5.3 and 8.19).

    Raises:
        ValueError: an escape is not whole.
    """
    raw = text.encode("utf-8", "surrogateescape")
    if b"%" not in raw and not (plus != b"+" and b"+" in raw):
        return raw.decode("latin-1")
    raw = _ESCAPE.sub(_unescaped, raw.replace(b"+", plus))
    return _SURROGATE.sub("\ufffd".encode(), raw).decode("utf-8", "replace")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise ValueError("an escape is not whole")
    return b"%" if escape[1] == b"%" else bytes.fromhex(escape[1].decode())
