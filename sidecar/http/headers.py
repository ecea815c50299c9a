"""Headers from socket to socket: as they came, less those that go no further (RFC 9110 section 7.6.1). Pure.

They are pairs of (name, value) in the order they came, duplicates and spelling kept, as text from which ``head`` makes
the same bytes again: aiohttp's own serializer drops bytes that are not UTF-8, while Elasticsearch and its clients may
send Latin-1 (RFC 9110 section 5.5: a recipient treats other octets as opaque data).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.elasticsearch.dialect import ELASTICSEARCH

Headers = Sequence[tuple[str, str]]
_LOSSLESS = ("utf-8", "surrogateescape")

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# Named in `Connection`, these are still the request's own: dropping them would strip credentials (a request would
# run as another user, or as none), framing or meaning. Source of the es-* names: Elasticsearch's security settings.
_NEVER_NOMINATED = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "es-client-authentication",
        "es-secondary-authorization",
        "es-secondary-x-client-authentication",
        "es-security-runas-user",
        "host",
        "traceparent",
        "tracestate",
        "x-elastic-product",
        "x-opaque-id",
    }
)


def end_to_end(headers: Headers) -> list[tuple[str, str]]:
    """Return the headers that go on: all but the hop-by-hop ones and those that `Connection` names."""
    named = {
        token.strip().lower() for name, value in headers if name.lower() == "connection" for token in value.split(",")
    }
    dropped = _HOP_BY_HOP | (named - _NEVER_NOMINATED)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def without(headers: Headers, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the headers but those of the given lower-case names."""
    unwanted = frozenset(names)
    return [(name, value) for name, value in headers if name.lower() not in unwanted]


def one_spelling(headers: Headers) -> list[tuple[str, str]]:
    """Return repeated headers the spelling of their first.

    aiohttp's client keeps repeated headers only under one spelling, and Elasticsearch must see both of two
    `X-Opaque-Id`s to refuse them.
    """
    spelling: dict[str, str] = {}
    return [(spelling.setdefault(name.lower(), name), value) for name, value in headers]


def typed_as_json(headers: Headers) -> list[tuple[str, str]]:
    """Return the headers of a request without a body, for a JSON body of our own.

    Elasticsearch wants a compatibility version in both `Accept` and `Content-Type` or in neither.
    """
    accept = value_of(headers, "accept") or ""
    kind = accept if accept.lower().startswith(ELASTICSEARCH.versioned) else "application/json"
    return [*without(headers, ("content-type",)), ("Content-Type", kind)]


def value_of(headers: Headers, name: str) -> str | None:
    """Return the first value of a header, or None."""
    return next((value for key, value in headers if key.lower() == name), None)


def lowered(headers: Headers) -> dict[str, str]:
    """Return the first value of each header by lower-case name."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.lower(), value)
    return found


def decoded(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return headers as text."""
    return [(name.decode(*_LOSSLESS), value.decode(*_LOSSLESS)) for name, value in raw]


def head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the bytes of a message's head.

    Raises:
        ValueError: a line holds a line break, and would smuggle in another.
    """
    lines = [start_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    joined = "\r\n".join(lines)
    if joined.count("\n") != len(lines) - 1 or joined.count("\r") != len(lines) - 1 or "\0" in joined:
        raise ValueError("a header holds a line break or a null byte")
    return joined.encode(*_LOSSLESS)
