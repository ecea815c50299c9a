"""One request is one request: no client's bytes become another's request, whatever happens in mid-body.

The traps held here: smuggling through broken or unfinished bodies, through early answers, and through upgrades.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from tests.http.conftest import OK, Recorder, lines, recording, request, say, sent_on, sidecar_before

_HEAD = b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
_INDICES = {"articles": {"fields": ["body"]}}


class Connections:
    """A stand-in upstream: keeps all bytes of each connection, and answers each head at once."""

    def __init__(self, answer: bytes = OK) -> None:
        self.url = ""
        self.received: list[bytes] = []
        self.ended: list[asyncio.Event] = []
        self.some = asyncio.Event()
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection until it ends."""
        this = len(self.received)
        self.received.append(b"")
        self.ended.append(asyncio.Event())
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                before = self.received[this].count(b"\r\n\r\n")
                self.received[this] += piece
                self.some.set()
                writer.write(self._answer * (self.received[this].count(b"\r\n\r\n") - before))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.ended[this].set()


_LONG = b"20000\r\n" + b"x" * 0x20000 + b"\r\n"
"""More than is waited for before anything is sent on."""


class Never(Connections):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__(b"")


@contextlib.asynccontextmanager
async def _before(upstream: Connections) -> AsyncIterator[int]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with sidecar_before(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", indices=_INDICES) as sidecar:
        yield sidecar.port
    server.close()


@pytest.mark.parametrize("path", [b"/_bulk", b"/articles/_search"])
async def test_a_body_that_breaks_in_a_later_chunk_is_a_400_and_never_looks_complete(path: bytes) -> None:
    upstream = Never()
    async with _before(upstream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_HEAD % path)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # the body is being read
        writer.write(b"5\r\nabcde\r\nzz\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        got = await reader.read()
        writer.close()
        for ended in upstream.ended:
            await ended.wait()
    head, _, body = got.partition(b"\r\n\r\n")
    assert got.count(b"HTTP/1.1 ") == 1
    assert lines(head)[0] == b"HTTP/1.1 400 Bad Request"
    assert json.loads(body)["error"]["reason"] == "the request is not valid HTTP: Invalid character in chunk size"
    assert all(b"smuggled" not in each and b"0\r\n\r\n" not in each for each in upstream.received)


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_in_mid_upload_leaves_an_unfinished_request_behind_it(framing: bytes) -> None:
    upstream = Never()
    async with _before(upstream) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /_bulk HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + _LONG)
        await upstream.some.wait()
        writer.close()
        await upstream.ended[0].wait()
    assert not upstream.received[0].endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("sent", [b"5\r\nabcde\r\n", _LONG])
async def test_an_answer_before_the_upload_ends_costs_the_connection_it_came_on(framing: bytes, sent: bytes) -> None:
    upstream = Connections(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    async with _before(upstream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /_bulk HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + sent)
        assert (await reader.readuntil(b"\r\n\r\nno")).startswith(b"HTTP/1.1 413")
        await say(port, request("/second"))
        writer.close()
        await upstream.ended[0].wait()
    assert [lines(received)[0] for received in upstream.received] == [b"POST /_bulk HTTP/1.1", b"GET /second HTTP/1.1"]


async def test_an_offer_to_upgrade_is_declined_and_the_connection_stays_http_1_1() -> None:
    """Java's HttpClient offers h2c with the first request of each connection, bodies included."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        for sent in (
            b"POST /one HTTP/1.1\r\nHost: h\r\n" + offer + b"Content-Length: 3\r\n\r\nabc",
            b"POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nd",
        ):
            writer.write(sent)
            assert await reader.readuntil(b"\r\n\r\nok") == OK
        writer.close()
    assert upstream.bodies == [b"abc", b"d"]
    assert b"upgrade" not in b"".join(upstream.heads).lower()
    assert b"http2-settings" not in b"".join(upstream.heads).lower()


async def test_connection_cannot_name_framing_credentials_or_meaning_away() -> None:
    kept = ["es-secondary-authorization: Basic eA==", "es-security-runas-user: kim", "Accept: application/cbor"]
    sent = request("/_bulk", *kept, "X-Hop: 1", method="POST", body=b"abc")
    named = b"Connection: close, content-length, es-secondary-authorization, es-security-runas-user, accept, x-hop"
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url) as sidecar:
        await say(sidecar.port, sent.replace(b"Connection: close", named))
    assert sorted(sent_on(upstream.heads[0])) == sorted(
        [b"Host: cluster.example:9200", b"Content-Length: 3", *(each.encode() for each in kept)]
    )
    assert upstream.bodies == [b"abc"]
