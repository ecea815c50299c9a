"""Hostile and odd HTTP: a corpus of raw requests, each with what must become of it before a real Elasticsearch.

Sources: RFC 9110 (semantics) and RFC 9112 (messages); every request is our own.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

INDEX = b"hostile"
_SEARCH = b'{"query":{"match":{"t":"fox"}}}'
_TAIL = b"GET /smuggled HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    """``sent`` are the bytes; ``answers`` how many whole answers may follow, the first to a HEAD with ``bodiless``.

    ``refused`` is the status with which the sidecar refuses it; None: its answers are those of Elasticsearch, to this
    request or, where it has one, to the request ``like`` it.
    """

    name: str
    sent: bytes
    refused: int | None = None
    answers: int = 1
    bodiless: bool = False
    like: bytes = b""


def _line(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: h", *headers, b"", body])


def _ended(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return _line(line, b"Connection: close", *headers, body=body)


def _posted(*headers: bytes, body: bytes = b"", path: bytes = b"/_analyze") -> bytes:
    return _ended(b"POST %b HTTP/1.1" % path, b"Content-Type: application/json", *headers, body=body)


def _named(kind: str, value: bytes) -> str:
    text = repr(value)[1:]
    return f"{kind} {text if len(text) < 60 else f'{text[:40]}... of {len(value)} bytes'}"


_METHODS = {
    b"GET": None, b"POST": None, b"PUT": None, b"DELETE": None, b"OPTIONS": None, b"PATCH": None,
    b"TRACE": 405, b"CONNECT": 405, b"get": 400, b"GeT": 400, b"FOO": 400, b"M-SEARCH": None,
    b"GET,POST": 400, b"G\0T": 400, b"G\tT": 400, b"G\xc3\x89T": 400, b"(GET)": 400, b"": 400,
    b"X" * 300: 400,
}  # fmt: skip
_VERSIONS = {
    b"HTTP/1.2": 400, b"HTTP/1.10": 400, b"HTTP/01.1": 400, b"HTTP/2.0": 505, b"HTTP/3.0": 400, b"HTTP/0.9": 505,
    b"HTTP/1.": 400, b"HTTP/": 400, b"HTTP": 400, b"http/1.1": 400, b"HTTPS/1.1": 400, b"HTTP/1,1": 400,
    b"HTTP/1.1 x": 400, b"HTTP/1.1\0": 400, b"ICY/1.1": 400, b"HTTP/-1.1": 400, b"HTTP/1.1.1": 400,
}  # fmt: skip
_TARGETS = {
    b"/_cat/../": None, b"/%2e%2e/_cat": None, b"/hostile/%00": None, b"/%": None, b"/%zz": None, b"//": None,
    b"/hostile//_search": None, b"/?": None, b"/??a": None, b"/_search?": None, b"/hostile/_search?q=a&q=b": None,
    b"/hostile/_search?q=fox;size=1": None, b"/hostile/_search?size[]=1": None, b"/hostile%2f_search": None,
    b"/hostile/%5fsearch": None, b"/HOSTILE/_SEARCH": None, b"/hostile/_search?q=%ff": None,
    b"/hostile/_search?q=a%23b": None, b"/hostile/_search#f": None, b"/hostile/_search?q=fox#f": None,
    b"/a\\b": None, b"/{a}": None, b"/a|b": None, b'/a"b': None, b"/a<b>": None, b"/a^b`c": None,
    b"http://evil.example/": 400,
    b"http://u:p@h/": 400, b"http://h:9/": 400, b"ftp://h/": 400, b"h:9200": 400,
    b"*": 400, b"hostile": 400, b"?q": 400, b"": 400, b"/a b": 400, b"/a\tb": 400, b"/a\x0bb": 400, b"/a\0b": 400,
    b"/a\x7fb": 400, b"/caf\xc3\xa9": 400, b"/\xff": 400, b"/" + b"x" * 3000: None, b"/" + b"x" * 70_000: 400,
}  # fmt: skip
_HEADERS = {
    b"X-A": 400, b": a": 400, b"X-A : a": 400, b"X-A\t: a": 400, b"X A: a": 400, b"X-A: a\r\n b": 400,
    b"X-A: a\r\n\tb": 400, b"X-A:\r\n a": 400, b"X-A: a\0b": 400, b"X-\0A: a": 400, b"X-A: a\rb": 400,
    b"X-A: a\nX-B: b": 400, b"X-A: a\x0bb": 400, b"X-A: a\x7fb": 400, b"X-A: a\x01b": 400, b"X-A: caf\xe9": None,
    b"X-A: caf\xc3\xa9": None, b"X-\xc3\xa9: a": 400, b"X-\xe9: a": 400, b"X(A): a": 400, b"X/A: a": 400,
    b"X@A: a": 400, b"X;A: a": 400, b'X"A: a': 400, b"X{A}: a": 400, b"!#$%&'*+-.^_`|~: a": None, b"X-A:": None,
    b"X-A:    ": None, b"X-A:\t a \t": None, b"X-A: " + b"v" * 6000: None, b"X-A: " + b"v" * 70_000: 400,
    b"X-" + b"n" * 3000 + b": a": None,
    b"Host: h": 400, b"Host: other": 400, b"host: h": 400, b"Via: 1.1 a, 1.0 b": None,
    b"X-HTTP-Method-Override: DELETE": None, b"X-Original-URL: /smuggled": None, b"X-Rewrite-URL: /smuggled": None,
    b"X-Forwarded-Host: evil.example": None, b"Forwarded: host=evil.example": None, b"Cookie: a=b": None,
    b"Range: bytes=0-1": None, b'If-None-Match: "a"': None, b"If-Match: *": None, b"Keep-Alive: timeout=5": None,
    b"Proxy-Connection: keep-alive": None, b"Proxy-Authorization: Basic eA==": None, b"TE: trailers, deflate": None,
    b"Trailer: X-A": None, b"Upgrade: h2c": None, b"Connection: Upgrade\r\nUpgrade: websocket": None,
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA": None,
    b"Connection: host": None, b"Connection: content-length, transfer-encoding": None, b"Connection: ,,": None,
    b"Accept: */*;q=0": None, b"Accept: a/b": None, b"Accept-Encoding: identity;q=0": None, b"Accept-Charset: x": None,
    b"Max-Forwards: 0": None, b"X-Opaque-Id: a\tb": None, b"traceparent: x": None,
}  # fmt: skip
_LENGTHS = {
    b"-1": 400, b"+2": 400, b"2 2": 400, b"2, 2": 400, b"2,3": 400, b"2;": 400, b"0x2": 400, b"0_2": 400, b"": 400,
    b"2.0": 400, b"2e0": 400, b"\xd9\xa2": 400, b"9" * 30: 400, b"\0": 400, b"2\0": 400, b"two": 400, b"'2'": 400,
    b"002": None, b"2 ": None, b"\t2\t": None, b"2\r\nContent-Length: 2": 400, b"2\r\nContent-Length: 3": 400,
    b"2\r\nContent-Length:": 400, b"2\r\n ": 400,
}  # fmt: skip
_CODINGS = {
    b"chunked": None, b"Chunked": None, b"CHUNKED": None, b"  chunked": None, b"chunked  ": None, b"xchunked": 400,
    b"chunkedx": 400, b"chunked, chunked": 400, b"chunked, identity": 400, b"identity, chunked": 501, b"identity": 400,
    b"gzip, chunked": 501, b"deflate": 400, b"chunked;q=1": 400, b'"chunked"': 400, b"'chunked'": 400,
    b"\x0bchunked": 400, b"chunked\0": 400, b"\xffchunked": 400, b"": 400, b",chunked": 501, b"chunked,": 400,
    b"chunked\r\nTransfer-Encoding: identity": 400, b"chunked\r\nTransfer-Encoding: chunked": 400,
    b"\r\n chunked": 400, b"chunked\r\nContent-Length: 2": 400, b"chunked\r\nContent-Length: 0": 400,
}  # fmt: skip
_OTHER_CODINGS = (
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer Encoding: chunked",
    b"X-A: a\nTransfer-Encoding: chunked",
    b"X-A: a\rTransfer-Encoding: chunked",
    b"Transfer-Encoding\0: chunked",
    b"Transfer-\xeencoding: chunked",
)
_CHUNKS = {
    b"02\r\n{}\r\n0\r\n\r\n": None, b"0000000002\r\n{}\r\n0\r\n\r\n": None,
    b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n": None, b"2;a\r\n{}\r\n0\r\n\r\n": None, b"2;a=b\r\n{}\r\n0\r\n\r\n": None,
    b'2;a="b c"\r\n{}\r\n0\r\n\r\n': None, b"2\r\n{}\r\n00\r\n\r\n": None, b"2\r\n{}\r\n0;a\r\n\r\n": None,
    b"2\r\n{}\r\n0\r\nX-A: a\r\n\r\n": None, b"0\r\n\r\n": None,
    b"0x2\r\n{}\r\n0\r\n\r\n": 400, b"-2\r\n{}\r\n0\r\n\r\n": 400, b"+2\r\n{}\r\n0\r\n\r\n": 400,
    b" 2\r\n{}\r\n0\r\n\r\n": 400, b"2 \r\n{}\r\n0\r\n\r\n": 400, b"2\t\r\n{}\r\n0\r\n\r\n": 400,
    b"g\r\n{}\r\n0\r\n\r\n": 400, b"\r\n{}\r\n0\r\n\r\n": 400, b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n": 400,
    b"2\n{}\n0\n\n": 400, b"2\r{}\r0\r\r": 400, b"2\r\n{}0\r\n\r\n": 400, b"2\r\n{}}\r\n0\r\n\r\n": 400,
    b"3\r\n{}\r\n0\r\n\r\n": 400, b"2\n{}\r\n0\r\n\r\n": 400,
    b"2;a\n{}\r\n0\r\n\r\n": 400, b"2;\0\r\n{}\r\n0\r\n\r\n": 400,
    b"2;" + b"a" * 3000 + b"\r\n{}\r\n0\r\n\r\n": None, b"2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n": 400,
    b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n": 400, b"2\r\n{}\r\n0\r\nHost: evil\r\n\r\n": None,
    b"2\r\n{}\r\n0\r\nX-A\r\n\r\n": 400, b"2\r\n{}\r\n0\r\nX-A: a\r\n b\r\n\r\n": 400, b"2\r\n{}\r\n-0\r\n\r\n": 400,
    b"2_0\r\n{}\r\n0\r\n\r\n": 400, b"2,\r\n{}\r\n0\r\n\r\n": 400, b"\xef\xbc\x92\r\n{}\r\n0\r\n\r\n": 400,
}  # fmt: skip
_EXPECTATIONS = {
    b"100-continue": None, b"100-Continue": None, b"100-continue, x": 417, b"gold": 417, b"": 417,
    b"100-continue\r\nExpect: gold": 417,
}  # fmt: skip
_BODIES = {
    b"": None, b"{}": None, b"\xef\xbb\xbf" + _SEARCH: None, _SEARCH.decode().encode("utf-16"): None,
    b"\0" * 9: None,
    b"[" * 2000: None, b'{"query":' * 500: None, _SEARCH + b"x": None, _SEARCH + _SEARCH: None, _SEARCH + _TAIL: None,
    b'{"size":1e400}': None, b'{"size":NaN}': None, b'{"a":1,"a":2}': None, b"{'size':1}": None, b'{"size":1,}': None,
    b"/**/" + _SEARCH: None, b'{"\\ud800":1}': None, b'{"query":{"match":{"t":"\xff"}}}': None,
    b'"' + b"a" * 9999: None,
}  # fmt: skip
_PACKED = {
    b"gzip": gzip.compress(_SEARCH),
    b"GZIP": gzip.compress(_SEARCH),
    b"x-gzip": gzip.compress(_SEARCH),
    b"deflate": zlib.compress(_SEARCH),
    b"deflate, gzip": gzip.compress(zlib.compress(_SEARCH)),
    b"gzip, gzip": gzip.compress(gzip.compress(_SEARCH)),
    b"identity": _SEARCH,
    b"br": _SEARCH,
    b"gzip;q=1": gzip.compress(_SEARCH),
    b"": _SEARCH,
    b"gzip ": gzip.compress(_SEARCH) + b"garbage",
    b" gzip": gzip.compress(_SEARCH)[:-6],
}


def _with_length(value: bytes, headers: tuple[bytes, ...] = (), path: bytes = b"/_analyze") -> bytes:
    return _posted(*headers, b"Content-Length: %d" % len(value), body=value, path=path)


def _several() -> list[Hostile]:
    """Return connections on which more than one request is sent at once."""
    get, last = _line(b"GET /hostile/_count HTTP/1.1"), _ended(b"GET /hostile/_count HTTP/1.1")
    post = _line(b"POST /_analyze HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 2", body=b"{}")
    chunked = b"Transfer-Encoding: chunked"
    pieces = _line(b"POST /_analyze HTTP/1.1", b"Content-Type: application/json", chunked, body=b"2\r\n{}\r\n0\r\n\r\n")
    head = _line(b"HEAD /hostile HTTP/1.1")
    return [
        Hostile("two requests at once", get + last, answers=2),
        Hostile("forty requests at once", get * 39 + last, answers=40),
        Hostile("a body and a request at once", post + last, answers=2),
        Hostile("chunks and a request at once", pieces + last, answers=2),
        Hostile("chunks and a body and chunks", pieces + post + pieces + last, answers=4),
        Hostile("HEAD and a request at once", head + last, answers=2, bodiless=True),
        Hostile("empty lines between requests", get + b"\r\n" + last, answers=2),
        Hostile("a request after the last", last + last, 400),
        Hostile("an empty line first", b"\r\n" + last),
        Hostile("a body on GET, and a request", get[:-2] + b"Content-Length: 2\r\n\r\n{}" + last, answers=2),
        Hostile("HTTP/1.0 without a host", b"GET /hostile/_count HTTP/1.0\r\n\r\n"),
        Hostile("HTTP/1.0 that keeps alive", b"GET /hostile/_count HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        Hostile("HTTP/1.0 with chunks", b"POST / HTTP/1.0\r\n" + chunked + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
    ]


def _malformed() -> list[Hostile]:
    """Return what is no HTTP/1.1 at all."""
    return [
        Hostile("no host", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        Hostile("an empty host", b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"),
        Hostile("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        Hostile("a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        Hostile("a simple request", b"GET /\r\n\r\n", 505),
        Hostile("bare line feeds", b"GET / HTTP/1.1\nHost: h\n\n", 400),
        Hostile("a bare line feed after the line", b"GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
        Hostile("a space before the first header", b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        Hostile("two spaces after the method", _ended(b"GET  / HTTP/1.1")),
        Hostile("two spaces after the target", _ended(b"GET /  HTTP/1.1")),
        Hostile("a tab after the method", _ended(b"GET\t/ HTTP/1.1"), 400),
        Hostile("a space before the method", _ended(b" GET / HTTP/1.1"), 400),
        Hostile("a space after the version", _ended(b"GET / HTTP/1.1 "), 400),
        Hostile("500 headers", _ended(b"GET /hostile/_count HTTP/1.1", *(b"X-%d: a" % i for i in range(500)))),
        Hostile("1,100 headers", _ended(b"GET / HTTP/1.1", *(b"X-%d: a" % i for i in range(1100))), 400),
    ]


def _corpus() -> list[Hostile]:
    found = [Hostile(_named("method", m), _ended(m + b" / HTTP/1.1"), r) for m, r in _METHODS.items()]
    found += [Hostile(_named("version", v), _ended(b"GET / " + v), r) for v, r in _VERSIONS.items()]
    found += [Hostile(_named("target", t), _ended(b"GET " + t + b" HTTP/1.1"), r) for t, r in _TARGETS.items()]
    counted = b"GET /hostile/_count HTTP/1.1"
    found += [Hostile(_named("header", h), _ended(counted, h), r) for h, r in _HEADERS.items()]
    found += [
        Hostile(_named("length", v), _posted(b"Content-Length: " + v, body=b"{}"), r) for v, r in _LENGTHS.items()
    ]
    whole = b"2\r\n{}\r\n0\r\n\r\n"
    found += [
        Hostile(_named("coding", v), _posted(b"Transfer-Encoding: " + v, body=whole), r) for v, r in _CODINGS.items()
    ]
    length = b"Content-Length: %d" % len(whole + _TAIL)
    found += [Hostile(_named("hidden coding", h), _posted(h, length, body=whole + _TAIL), 400) for h in _OTHER_CODINGS]
    found += [
        Hostile(_named("chunks", c), _posted(b"Transfer-Encoding: chunked", body=c), r) for c, r in _CHUNKS.items()
    ]
    found += [
        Hostile(_named("expectation", v), _posted(b"Expect: " + v, b"Content-Length: 2", body=b"{}"), r)
        for v, r in _EXPECTATIONS.items()
    ]
    found += [Hostile(_named("body", b), _with_length(b, (), b"/hostile/_search"), r) for b, r in _BODIES.items()]
    found += [
        Hostile(_named("content coding", c), _with_length(b, (b"Content-Encoding: " + c,), b"/hostile/_search"))
        for c, b in _PACKED.items()
    ]
    found += [
        Hostile(_named("target", t), _ended(b"GET %b HTTP/1.1" % t), like=_ended(counted))
        for t in (b"http://h/hostile/_count", b"HTTP://H/hostile/_count", b"https://h/hostile/_count")
    ]
    return found + _several() + _malformed()


CORPUS = tuple(_corpus())
