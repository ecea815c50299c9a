"""Connections that wait, break, or are reused. Traps 2, 6 and 13."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from aiohttp import web

from sidecar.config.listeners import Listener
from sidecar.http.listener import listen_for_clients
from sidecar.http.response import error_response
from tests.http.conftest import OK, Recorder, detail_of, lines, recording, request, say, sidecar_before, through


class Silent(Recorder):
    """Takes requests and never answers."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Say nothing."""


class ClosesAfterEach(Recorder):
    """Answers, then closes a connection that looked persistent, as an idle timeout does."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer the first request of a connection; drop the second unanswered."""
        if len(self.heads) == 2:
            writer.transport.abort()
            return
        await super().reply(writer)


async def test_a_client_that_goes_away_cancels_its_request_upstream() -> None:
    async with recording(Silent()) as upstream, sidecar_before(upstream.url) as sidecar:
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(request("/_search"))
        await upstream.arrived.wait()
        writer.close()
        await asyncio.wait_for(upstream.gone.wait(), 30)


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"\r\n\r\nhalf"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"0\r\n\r\n"),
    ],
)
async def test_an_answer_cut_short_does_not_look_complete(answer: bytes, complete: bytes) -> None:
    class Cut(Recorder):
        async def reply(self, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()
            writer.close()

    async with recording(Cut()) as upstream, sidecar_before(upstream.url) as sidecar:
        got = await say(sidecar.port, request("/_cat"))
    if b"Content-Length" in answer:
        assert len(got.partition(b"\r\n\r\n")[2]) < 10
    else:
        assert not got.endswith(complete)


async def test_an_answer_cut_short_ends_in_a_reset_for_a_client_whose_bodies_end_with_the_connection() -> None:
    class Cut(Recorder):
        async def reply(self, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            await writer.drain()
            writer.close()

    async with recording(Cut()) as upstream, sidecar_before(upstream.url) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(b"GET /_cat HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_silent_upstream_becomes_a_504_in_elasticsearchs_shape() -> None:
    async with recording(Silent()) as upstream, sidecar_before(upstream.url, read_timeout=0.2) as sidecar:
        got = await say(sidecar.port, request("/_cat"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert lines(head)[0].split()[1] == b"504"
    assert b"X-Elastic-Product: Elasticsearch" in lines(head)
    assert json.loads(body)["error"]["type"] == "upstream_timeout"


async def test_an_unreachable_upstream_becomes_a_502_and_the_log_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with sidecar_before(url) as sidecar:
        got = await say(sidecar.port, request("/idx/_search", method="POST", body=b"{}"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert lines(head)[0].split()[1] == b"502"
    assert b"X-Elastic-Product: Elasticsearch" in lines(head)
    error = json.loads(body)["error"]
    assert error["type"] == "upstream_unreachable"
    assert error["reason"] == "Elasticsearch cannot be reached: connection refused"
    assert detail_of(caplog) == f"{url}: connection refused"


async def test_an_unknown_host_is_named_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with sidecar_before("http://no-such-host.invalid:9200") as sidecar:
        got = await say(sidecar.port, request("/"))
    assert b"Elasticsearch cannot be reached: its host name is not known" in got
    assert b"no-such-host" not in got
    assert detail_of(caplog) == "http://no-such-host.invalid:9200: the host name no-such-host.invalid is not known"


async def test_a_dead_url_is_skipped_and_the_living_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with recording(Recorder()) as upstream, sidecar_before(dead, upstream.url) as sidecar:
        answers = [await say(sidecar.port, request("/", method="PUT", body=b"x")) for _ in range(4)]
    assert [lines(answer)[0] for answer in answers] == [lines(OK)[0]] * 4
    assert upstream.bodies == [b"x"] * 4


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_a_write_is_never_sent_twice(method: str) -> None:
    async with recording(ClosesAfterEach()) as upstream, sidecar_before(upstream.url) as sidecar:
        await say(sidecar.port, request("/warm"))
        got = await say(sidecar.port, request("/idx/_doc/1", method=method, body=b"{}"))
    assert lines(got)[0].split()[1] == b"502"
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "upstream_reset"
    assert len(upstream.heads) == 2


async def test_a_read_on_a_connection_that_was_closed_meanwhile_is_sent_once_more() -> None:
    async with recording(ClosesAfterEach()) as upstream, sidecar_before(upstream.url) as sidecar:
        await say(sidecar.port, request("/warm"))
        got = await say(sidecar.port, request("/_cat"))
    assert lines(got)[0] == lines(OK)[0]
    assert len(upstream.heads) == 3


class ResetsAfterEach(Recorder):
    """Answers the first request, and resets the connection of each further one on it."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer or reset."""
        if len(self.heads) != 2:
            await super().reply(writer)
            return
        linger = struct.pack("ii", 1, 0)  # for no time: closing sends a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


@pytest.mark.parametrize(("method", "status", "requests"), [("GET", b"200", 3), ("PUT", b"502", 2)])
async def test_a_connection_that_is_reset_counts_as_closed(method: str, status: bytes, requests: int) -> None:
    async with recording(ResetsAfterEach()) as upstream, sidecar_before(upstream.url) as sidecar:
        await say(sidecar.port, request("/warm"))
        got = await say(sidecar.port, request("/idx/_doc/1", method=method, body=b"{}"))
    assert lines(got)[0].split()[1] == status
    assert (b'"upstream_reset"' in got) == (status == b"502")
    assert len(upstream.heads) == requests


async def test_upstream_connections_are_reused() -> None:
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url) as sidecar:
        for _ in range(5):
            await say(sidecar.port, request("/"))
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_elasticsearchs_own_errors_are_passed_on_and_not_retried(status: int) -> None:
    answer = f"HTTP/1.1 {status} Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    upstream, got = await through(request("/x"), answer)
    assert lines(got)[0] == f"HTTP/1.1 {status} Busy".encode()
    assert b"Retry-After: 1" in lines(got)
    assert len(upstream.heads) == 1


async def test_a_client_that_waits_for_100_continue_gets_it_once() -> None:
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(b"POST /_bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert await reader.readuntil(b"\r\n\r\n") == OK.removesuffix(b"ok")
        writer.close()
    assert upstream.bodies == [b"abc"]
    assert b"expect" not in upstream.heads[0].lower()


async def test_pipelined_requests_are_answered_in_order() -> None:
    two = request("/one").replace(b"Connection: close\r\n", b"") + request("/two")
    upstream, got = await through(two)
    assert got.count(lines(OK)[0]) == 2
    assert [lines(head)[0] for head in upstream.heads] == [b"GET /one HTTP/1.1", b"GET /two HTTP/1.1"]


async def test_a_clients_half_sent_head_does_not_hold_its_connection() -> None:
    """A slow loris: it is let go after the idle time, and meanwhile others are served."""

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return error_response(404, "none", "none")

    server = await listen_for_clients(handle, Listener(host="127.0.0.1", port=0), idle=0.3)
    halves = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
    for _, writer in halves:
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    assert lines(await say(server.port, request("/")))[0] == b"HTTP/1.1 404 Not Found"
    assert [await reader.read() for reader, _ in halves] == [b""] * 50
    for _, writer in halves:
        writer.close()
    await server.close()


class Endless(Recorder):
    """Answers without an end, as fast as it is read."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Write until the other side goes away."""
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
            await writer.drain()


async def test_a_client_that_takes_no_answer_does_not_hold_a_connection_to_elasticsearch() -> None:
    async with recording(Endless()) as upstream, sidecar_before(upstream.url, read_timeout=0.3) as sidecar:
        with socket.create_connection(("127.0.0.1", sidecar.port)) as client:
            client.sendall(request("/big"))
            await upstream.gone.wait()
            client.recv(1 << 26, socket.MSG_WAITALL)  # all that was sent until the break
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@pytest.mark.parametrize("path", ["/_bulk", "/articles/_search"])
async def test_a_client_that_stops_in_mid_body_gets_a_408(path: str) -> None:
    indices = {"articles": {"fields": ["body"]}}
    async with (
        recording(Recorder()) as upstream,
        sidecar_before(upstream.url, read_timeout=0.3, indices=indices) as sidecar,
    ):
        got = await say(sidecar.port, request(path, method="POST", body=b"abc")[:-1])
    head, _, body = got.partition(b"\r\n\r\n")
    assert lines(head)[0].split()[1] == b"408"
    assert json.loads(body)["error"]["reason"] == "the request's body stopped arriving for 0.3 seconds"


async def test_a_url_that_swallows_connections_costs_the_connect_timeout_and_the_next_one_answers() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = []
        for _ in range(4):  # beyond its backlog, a listener that accepts nobody lets connections wait
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        hole = f"http://127.0.0.1:{address[1]}"
        async with recording(Recorder()) as upstream:
            async with sidecar_before(hole, upstream.url, connect_timeout=1) as sidecar:
                answers = [await say(sidecar.port, request("/", method="PUT", body=b"x")) for _ in range(3)]
            async with sidecar_before(hole, connect_timeout=1) as sidecar:
                alone = await say(sidecar.port, request("/"))
        for filler in fillers:
            filler.close()
    assert [lines(answer)[0] for answer in answers] == [lines(OK)[0]] * 3
    assert lines(alone)[0].split()[1] == b"502"
    reason = "Elasticsearch cannot be reached: no connection within upstream.connect_timeout"
    assert json.loads(alone.partition(b"\r\n\r\n")[2])["error"]["reason"] == reason


async def test_an_error_of_the_sidecars_own_to_head_has_no_body() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with sidecar_before(url) as sidecar:
        got = await say(sidecar.port, request("/", method="HEAD"))
    assert lines(got)[0].split()[1] == b"502"
    assert got.endswith(b"\r\n\r\n")
