"""What goes through is what came: targets, headers, statuses, bodies, to the byte. Traps 1, 3, 9, 10 and 11."""

from __future__ import annotations

import gzip

import pytest

from tests.http.conftest import Recorder, lines, recording, request, say, sent_on, sidecar_before, through


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/x",
        "/idx/../_security/user",
        "/a/./b",
        "/%74/_doc/1",
        "/idx%2f_search",
        "/x?",
        "/x?a=1&a=2&b=%20+;c",
        "/x?q=a%23b",
        "/%7Elogs-%7Bnow%2Fd%7D%3E/_count",
        "/a|b'c<d>e{f}",
        "/" + "x" * 5000,
    ],
)
async def test_targets_go_on_as_they_came(target: str) -> None:
    upstream, _ = await through(request(target))
    assert lines(upstream.heads[0])[0] == f"GET {target} HTTP/1.1".encode("latin-1")


async def test_request_headers_go_on_as_they_came() -> None:
    headers = [
        "X-Opaque-Id: one",
        "x-opaque-id: two",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "Authorization: ApiKey abc==",
        "Content-Type: application/vnd.elasticsearch+json; compatible-with=9",
        "Accept: application/vnd.elasticsearch+json; compatible-with=9",
        "X-Latin: caf\xe9",
        "X-Utf8: " + "é".encode().decode("latin-1"),
        "X-Empty: ",
    ]
    upstream, _ = await through(request("/_cat", *headers))
    got = sorted(line.lower() for line in sent_on(upstream.heads[0]))
    assert got == sorted(h.encode("latin-1").lower() for h in [*headers, "host: cluster.example:9200"])


async def test_hop_by_hop_headers_stay_behind_and_credentials_do_not() -> None:
    sent = request("/", "TE: trailers", "Keep-Alive: 5", "X-Hop: 1", "Authorization: Basic eA==")
    upstream, _ = await through(sent.replace(b"Connection: close", b"Connection: close, X-Hop, Authorization"))
    names = {line.partition(b":")[0].lower() for line in sent_on(upstream.heads[0])}
    assert names == {b"host", b"authorization"}


async def test_answer_headers_come_back_as_they_were_and_none_is_added() -> None:
    answer = (
        b'HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nWarning: 299 Elasticsearch "one"\r\n'
        b'Warning: 299 Elasticsearch "two"\r\nX-Latin: caf\xe9\r\ncontent-type: application/cbor\r\n'
        b"content-encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\xff"
    )
    _, got = await through(request("/"), answer)
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"\x1f\x8b\x00\xff"
    assert sorted(lines(head)[1:]) == sorted([*lines(answer)[1:], b"Connection: close"])


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 77\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'),
        ("GET", b"HTTP/1.1 418 I am a teapot\r\nContent-Length: 3\r\n\r\npot"),
    ],
)
async def test_statuses_reasons_and_bodiless_answers(method: str, answer: bytes) -> None:
    _, got = await through(request("/x", method=method), answer)
    head, _, body = got.partition(b"\r\n\r\n")
    expected, _, expected_body = answer.partition(b"\r\n\r\n")
    assert [line for line in lines(head) if line != b"Connection: close"] == lines(expected)
    assert body == expected_body


async def test_compressed_bodies_go_on_compressed() -> None:
    body = gzip.compress(b'{"index":{}}\n{"a":1}\n' * 100)
    upstream, _ = await through(request("/x/_bulk", "Content-Encoding: gzip", method="POST", body=body))
    assert upstream.bodies == [body]


async def test_chunked_bodies_both_ways() -> None:
    sent = (
        b"POST /_bulk HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\n\r\n"
    )
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    upstream, got = await through(sent, answer)
    assert upstream.bodies == [b"abcdefgh"]
    assert got.endswith(b"2\r\nhi\r\n0\r\n\r\n")


async def test_a_body_on_get_goes_on() -> None:
    upstream, _ = await through(request("/_count", body=b'{"query":{"match_all":{}}}'))
    assert upstream.bodies == [b'{"query":{"match_all":{}}}']


async def test_an_http_1_0_client_gets_a_body_that_ends_with_the_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    _, got = await through(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", answer)
    assert b"chunked" not in got
    assert got.endswith(b"\r\n\r\nhi")


async def test_long_lines_and_many_headers_are_taken_as_elasticsearch_takes_them() -> None:
    many = [f"X-H{i}: {'v' * 60}" for i in range(300)]
    upstream, got = await through(request("/x", *many, "X-Long: " + "v" * 15_000))
    assert got.startswith(b"HTTP/1.1 200")
    assert len(lines(upstream.heads[0])) > 300


async def test_a_base_path_is_put_before_the_target() -> None:
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url + "/es/") as sidecar:
        await say(sidecar.port, request("//x"))
    assert lines(upstream.heads[0])[0] == b"GET /es//x HTTP/1.1"
