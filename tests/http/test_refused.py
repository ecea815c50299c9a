"""What must not be forwarded is refused, in Elasticsearch's shape. Traps 5 and 14."""

from __future__ import annotations

import json

import pytest

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.http.refusals import origin_form
from tests.http.conftest import OK, lines, request, say, sidecar_before, through
from tests.test_reasons import free_port

_CASES = {
    "content-length and transfer-encoding": (
        400,
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "two content-lengths": (
        400,
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    "gzip, chunked": (501, b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "transfer-encoding on 1.0": (
        400,
        b"POST /_bulk HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "http/0.9 simple request": (505, b"GET /\r\n\r\n"),
    "http/0.9 named": (505, b"GET / HTTP/0.9\r\nHost: h\r\n\r\n"),
    "http/2.0 request line": (505, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
    "trace": (405, b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"),
    "connect": (405, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    "absolute form to another host": (
        400,
        b"GET http://evil.example/x HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    "not a path": (400, b"GET x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    "another expectation": (417, b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: gold\r\n\r\n"),
    "a line too long": (400, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a header with a null byte": (400, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\n\r\n"),
    "a folded header": (400, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a\r\n b\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\nHost: h\r\nX-A : a\r\n\r\n"),
    "transfer-encoding before content-length": (
        400,
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    "the same content-length twice": (
        400,
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    **{
        f"content-length {value!r}": (
            400,
            b"POST /_bulk HTTP/1.1\r\nHost: h\r\nContent-Length: %b\r\n\r\nabc" % value,
        )
        for value in (b"-1", b"+3", b"3 3", b"3, 3", b"0x3", b"1_0", b"", b"9" * 30, "\u0663".encode())
    },
    **{
        f"transfer-encoding {value!r}": (
            status,
            b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % value,
        )
        for value, status in (
            (b"xchunked", 400),
            (b"chunked, chunked", 400),
            (b"chunked;q=1", 400),
            (b'"chunked"', 400),
            (b"\x0bchunked", 400),
            (b"chunked\r\nTransfer-Encoding: identity", 400),
            (b"identity", 400),
        )
    },
    **{
        f"a chunk of size {line!r}": (
            400,
            b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\na\r\n0\r\n\r\n" % line,
        )
        for line in (b"0x1", b"-1", b"+1", b" 1", b"1;a\nb", b"f" * 17)
    },
    "a framing header in the trailer": (
        400,
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    "lines that end in a bare line feed": (400, b"GET / HTTP/1.1\nHost: h\n\n"),
    "a bare line feed after a header": (
        400,
        b"POST / HTTP/1.1\r\nHost: h\r\nX-A: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    "a bare carriage return after a header": (400, b"GET / HTTP/1.1\r\nHost: h\rX-A: a\r\n\r\n"),
    "a folded transfer-encoding": (
        400,
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    "a space before the first header": (400, b"GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    "a space before content-length's colon": (
        400,
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc",
    ),
    "no host": (400, b"GET / HTTP/1.1\r\nX-A: a\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "a space in the target": (400, b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a null byte in the target": (400, b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"),
    "http/2 with prior knowledge": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "absolute form with credentials": (
        400,
        b"GET http://u:p@h/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ),
    "not http at all": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
}


@pytest.mark.parametrize("case", _CASES)
async def test_refusals(case: str) -> None:
    status, sent = _CASES[case]
    upstream, got = await through(sent)
    head, _, body = got.partition(b"\r\n\r\n")
    assert upstream.heads == []
    assert int(lines(head)[0].split()[1]) == status
    assert b"X-Elastic-Product: Elasticsearch" in lines(head)
    assert b"Connection: close" in lines(head)
    error = json.loads(body)
    assert error["status"] == status
    assert error["error"]["reason"] == error["error"]["root_cause"][0]["reason"]


async def test_a_target_beyond_ascii_is_told_how_to_be_written() -> None:
    _, got = await through("GET /café/_search HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    reason = json.loads(got.partition(b"\r\n\r\n")[2])["error"]["reason"]
    assert (
        reason == "the request is not valid HTTP: Invalid char in url path; what is not ASCII must be percent-encoded"
    )


async def test_options_star_is_forwarded() -> None:
    upstream, got = await through(b"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert lines(upstream.heads[0])[0] == b"OPTIONS * HTTP/1.1"
    assert lines(got)[0] == lines(OK)[0]


async def test_absolute_form_to_this_host_is_forwarded_as_a_path() -> None:
    upstream, _ = await through(b"GET http://h:9200/x?y=1 HTTP/1.1\r\nHost: h:9200\r\nConnection: close\r\n\r\n")
    assert lines(upstream.heads[0])[0] == b"GET /x?y=1 HTTP/1.1"


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("/x", "h", "/x"),
        ("http://h/x?y", "H", "/x?y"),
        ("http://h@evil/x", "h", "http://h@evil/x"),
        ("http://h", "h", "http://h"),
        ("ftp://h/x", "h", "ftp://h/x"),
        ("http://h/x", None, "http://h/x"),
    ],
)
def test_origin_form(target: str, host: str | None, expected: str) -> None:
    assert origin_form(target, host) == expected


async def test_two_sidecars_that_are_each_others_upstream_end_a_request_after_one_round() -> None:
    port = free_port()
    async with sidecar_before(f"http://127.0.0.1:{port}") as one:
        two = Sidecar(
            Config.model_validate(
                {
                    "listen": {"host": "127.0.0.1", "port": port},
                    "admin": {"host": "127.0.0.1", "port": 0},
                    "upstream": {"urls": [one.url]},
                }
            )
        )
        await two.start()
        got = await say(one.port, request("/_cat"))
        requests = [sidecar.proxy_stats()["requests_total"] for sidecar in (one, two)]
        await two.close()
    assert lines(got)[0] == b"HTTP/1.1 508 Loop Detected"
    assert b"is it its own upstream?" in got
    assert requests == [2, 1]


async def test_via_of_others_is_kept_and_ours_comes_last() -> None:
    upstream, _ = await through(request("/", "via: 1.0 fred, 1.1 p.example"))
    vias = [line for line in lines(upstream.heads[0]) if line.lower().startswith(b"via:")]
    assert vias[0] == b"via: 1.0 fred, 1.1 p.example"
    assert len(vias) == 2
    assert vias[1].startswith(b"via: 1.1 rescoring-sidecar-")
