"""Clients that stop in mid-request or take no answer cost others nothing: counted with hundreds of sockets, not timed.

The upstream is a stand-in, since what it is sent while clients are slow is what is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from sidecar.errors import UpstreamError
from sidecar.http.places import Pace, Places
from tests.http.conftest import OK, Recorder, lines, recording, request, say, sidecar_before, until_closed
from tests.http.test_connections import Endless, Silent

INDICES = {"articles": {"fields": ["body"]}}
PATHS = ("/_bulk", "/articles/_search", "/x/_search?scroll=1m", "/_cat/indices", "/articles/_doc/1")


@contextlib.asynccontextmanager
async def sending(port: int, *sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Open a connection for each, send, and hold it open."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in sent]
    try:
        for client, piece in zip(clients, sent, strict=True):
            client.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(client, piece)
        yield clients
    finally:
        for client in clients:
            client.close()


async def test_500_uploads_that_stop_after_one_byte_reach_nobody_and_a_normal_client_is_served() -> None:
    halves = [request(PATHS[i % len(PATHS)], method="POST", body=b"x" * 1000)[:-999] for i in range(500)]
    async with (
        recording(Recorder()) as upstream,
        sidecar_before(upstream.url, indices=INDICES) as sidecar,
        sending(sidecar.port, *halves),
    ):
        answers = [await say(sidecar.port, request(path, method="POST", body=b"{}")) for path in PATHS]
        assert sidecar.proxy_stats()["client_connections"] >= 500
        assert sidecar.proxy_stats()["upstream_requests"] == 0
    assert [lines(answer)[0] for answer in answers] == [lines(OK)[0]] * len(PATHS)
    assert sum(head.startswith(b"POST") for head in upstream.heads) == len(PATHS)
    assert b"x" not in b"".join(upstream.bodies)


async def test_uploads_that_stop_later_make_room_for_one_that_does_not() -> None:
    stops = request("/_bulk", method="PUT", body=b"x" * 200_000)[:-100_000]
    whole = request("/_bulk", method="PUT", body=b"y" * 4_000_000)
    async with (
        recording(Recorder()) as upstream,
        sidecar_before(upstream.url, max_connections=4) as sidecar,
        sending(sidecar.port, *[stops] * 6),
    ):
        while sidecar.proxy_stats()["upstream_requests"] < 6:
            await asyncio.sleep(0)
        passing = [await say(sidecar.port, request("/_cat")) for _ in range(4)]
        answers = await asyncio.gather(*(say(sidecar.port, whole) for _ in range(4)))
        evicted = sidecar.proxy_stats()["slow_clients_evicted_total"]
    assert {lines(answer)[0] for answer in [*answers, *passing]} == {lines(OK)[0]}
    assert upstream.bodies.count(b"y" * 4_000_000) == 4
    assert evicted >= 4


async def test_a_client_that_is_evicted_is_told_why() -> None:
    stops = request("/_bulk", method="PUT", body=b"x" * 200_000)[:-100_000]
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url, max_connections=1) as sidecar:
        slow = asyncio.create_task(say(sidecar.port, stops))
        while not sidecar.proxy_stats()["upstream_requests"]:
            await asyncio.sleep(0)
        await say(sidecar.port, request("/_bulk", method="PUT", body=b"y" * 4_000_000))
        got = await slow
    assert lines(got)[0] == b"HTTP/1.1 408 Request Timeout"
    assert b"the client is slow, and others need its connection" in got


async def test_clients_that_take_no_answer_make_room_for_one_that_does() -> None:
    async with (
        recording(Endless()) as upstream,
        sidecar_before(upstream.url, max_connections=4) as sidecar,
        sending(sidecar.port, *[request("/big")] * 20),
    ):
        while sidecar.proxy_stats()["slow_clients_evicted_total"] < 16:
            await asyncio.sleep(0.05)  # nothing else tells; the test's own time limit bounds it
    assert upstream.connections >= 16


async def test_a_request_that_finds_no_connection_in_time_is_a_429_to_be_tried_again() -> None:
    async with (
        recording(Silent()) as upstream,
        sidecar_before(upstream.url, max_connections=1, pool_timeout=0.1) as sidecar,
        sending(sidecar.port, request("/_cat")),
    ):
        await upstream.arrived.wait()
        refused = await say(sidecar.port, request("/_cat"))
        async with sending(sidecar.port, request("/_bulk", method="PUT", body=b"x" * 4_000_000)):
            while len(upstream.heads) < 2:
                await asyncio.sleep(0)
    assert lines(refused)[0] == b"HTTP/1.1 429 Too Many Requests"
    assert b"Retry-After: 1" in lines(refused)
    assert b"none ended within upstream.pool_timeout" in refused


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_comes_byte_by_byte_ends_with_the_total_timeout(path: str) -> None:
    upload = request(path, method="POST", body=b"x" * 1000)
    async with (
        recording(Recorder()) as upstream,
        sidecar_before(upstream.url, indices=INDICES, total_timeout=0.3) as sidecar,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(upload[:-500])
        answer = asyncio.create_task(until_closed(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait({answer}, timeout=0.02)
        writer.close()
    got = await answer
    assert lines(got)[0] == b"HTTP/1.1 408 Request Timeout"
    assert b"was not whole within upstream.total_timeout" in got
    assert not any(upstream.bodies)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_how_far_a_client_is_behind_counts_only_while_it_is_its_turn() -> None:
    clock = Clock()
    pace = Pace(lambda: None, clock)
    clock.now = 100.0
    assert pace.behind == 0
    with pace:
        clock.now += 3
        assert pace.behind == 3
    assert pace.behind == 0
    pace.moved(32 << 10)
    with pace:
        assert pace.behind == 1
    pace.moved(1 << 30)
    with pace:
        clock.now += 2
        assert pace.behind == 2


async def test_the_slowest_goes_first_and_one_that_keeps_up_never() -> None:
    evicted: list[str] = []
    clock = Clock()
    places = Places(3, timeout=0.3)
    paces = {name: Pace(lambda name=name: evicted.append(name), clock) for name in ("slow", "slower", "quick")}  # type: ignore[misc]
    async with contextlib.AsyncExitStack() as stack:
        for pace in paces.values():
            await stack.enter_async_context(places.one(pace))
        paces["slower"].__enter__()
        clock.now += 5
        paces["slow"].__enter__()
        clock.now += 5
        paces["quick"].__enter__()
        with pytest.raises(UpstreamError, match="too many requests"):
            await stack.enter_async_context(places.one(Pace(lambda: None)))
    assert evicted == ["slower", "slow"]


async def test_beyond_the_descriptors_that_clients_may_have_the_longest_idle_connection_makes_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sidecar.http.listener._most_clients", lambda: 4)
    async with recording(Recorder()) as upstream, sidecar_before(upstream.url) as sidecar:
        first = [await asyncio.open_connection("127.0.0.1", sidecar.port) for _ in range(4)]
        reader, writer = first[0]  # the oldest, and the only one that is used
        writer.write(request("/used").replace(b"Connection: close\r\n", b""))
        await reader.readuntil(OK[-6:])
        assert lines(await say(sidecar.port, request("/new")))[0] == lines(OK)[0]
        assert await first[1][0].read() == b""
        writer.write(request("/used-again"))
        assert lines(await reader.read())[0] == lines(OK)[0]
        assert sidecar.proxy_stats()["idle_clients_evicted_total"] == 1
        for _, each in first:
            each.close()
    assert "idle connections are closed" in caplog.text
