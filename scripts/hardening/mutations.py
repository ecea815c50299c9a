"""Requests, and what is done to them to make them odd. Pure: everything follows from the random generator given."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random

from hardening.hostile import CORPUS

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
_BULK = b'{"index":{"_index":"i"}}\n{"t":"' + SMUGGLED.replace(b"\r\n", b"\\r\\n") + b'"}\n'
_QUERY = b'{"query":{"match":{"t":"fox"}}}'


def _with_body(line: bytes, body: bytes, *headers: bytes) -> bytes:
    head = [line, b"Host: h", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*head, b"", body])


def _chunked(line: bytes, *pieces: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"\r\n".join([line, b"Host: h", b"Transfer-Encoding: chunked", b"", chunks])


VALID = (
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /i HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /i/_search?q=fox HTTP/1.0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /i/_doc/1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    _with_body(b"POST /_bulk HTTP/1.1", _BULK, b"Content-Type: application/x-ndjson"),
    _with_body(b"POST /_bulk HTTP/1.1", SMUGGLED),
    _with_body(b"POST /_bulk HTTP/1.1", gzip.compress(_BULK), b"Content-Encoding: gzip"),
    _with_body(b"POST /i/_search HTTP/1.1", _QUERY, b"Content-Type: application/json"),
    _with_body(b"POST /i/_search HTTP/1.1", gzip.compress(_QUERY), b"Content-Encoding: gzip"),
    _with_body(b"POST /_msearch HTTP/1.1", b'{"index":"i"}\n' + _QUERY + b"\n", b"Content-Type: application/x-ndjson"),
    _with_body(b"PUT /i/_doc/1 HTTP/1.1", b"{}", b"Expect: 100-continue"),
    _chunked(b"POST /_bulk HTTP/1.1", _BULK, SMUGGLED, _BULK),
    _chunked(b"POST /i/_search HTTP/1.1", _QUERY[:9], _QUERY[9:]),
)
SEEDS = (*VALID, *(case.sent for case in CORPUS if len(case.sent) < 4096))
_TOKENS = (
    b"Content-Length: 0\r\n",
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Upgrade: websocket\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b":",
    b",",
    b";",
    b"\xff",
    b"HTTP/2.0",
    b"HTTP/1.0",
    b"/../",
    b"//",
    b"%00",
    SMUGGLED,
)


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_TOKENS) + data[at:]


def _after_a_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(random.randint(0, len(lines)), random.choice(_TOKENS).removesuffix(b"\r\n"))
    return b"\r\n".join(lines)


def _flip(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    start, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:end] + data[start:end] + data[end:]


def _cross(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))] + (other := random.choice(VALID))[random.randint(0, len(other)) :]


def _digits(data: bytes, random: Random) -> bytes:
    found = [i for i, byte in enumerate(data) if 48 <= byte <= 57] or [0]
    at = random.choice(found)
    return data[:at] + random.choice((b"0", b"1", b"9", b"-1", b"+1", b"00", b"a")) + data[at + 1 :]


_MUTATORS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _insert,
    _after_a_line,
    _flip,
    _cut,
    _repeat,
    _cross,
    _digits,
)


def case(random: Random) -> list[bytes]:
    """Return the pieces that one client sends: noise now and then, else a valid request changed a few times."""
    if random.random() < 0.05:
        return split(random.randbytes(random.randint(1, 300)), random)
    data = random.choice(SEEDS)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        data = random.choice(_MUTATORS)(data, random)
    return split(data, random)


def split(data: bytes, random: Random) -> list[bytes]:
    """Cut data into one to four pieces."""
    cuts = sorted(random.randint(0, len(data)) for _ in range(random.choice((0, 0, 1, 3))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
