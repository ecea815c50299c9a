"""The end of the process: real signals, real processes. Upstream and scorer are stand-ins that can be held up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.conftest import OK, Recorder, lines, recording, request, say
from tests.processes import serving
from tests.test_reasons import FOUND, MATCH, free_port

SEARCH = request("/i/_search", "Content-Type: application/json", method="POST", body=json.dumps(MATCH).encode())


class Waits(Recorder):
    """Answers searches at once, and all else when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.slow = asyncio.Event()

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        if b"_search" in self.heads[-1]:
            body = json.dumps(FOUND).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            return
        if b"/slow" in self.heads[-1]:
            self.slow.set()
            await self.go.wait()
        await super().reply(writer)


@contextlib.asynccontextmanager
async def holding() -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Event]]:
    """A port that holds the scorer up: set when it came, and what lets it go."""
    came, go = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await go.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came, go
    go.set()
    server.close()


def status(answer: bytes) -> bytes:
    return lines(answer)[0].split()[1]


async def test_after_sigterm_readiness_turns_what_runs_is_answered_and_only_then_the_engine_ends(
    tmp_path: Path,
) -> None:
    async with recording(Waits()) as upstream, holding() as (port, came, go):
        shutdown = {"delay": "2s", "grace_period": "60s"}
        settings: dict[str, Any] = {"upstream": {"urls": [upstream.url]}, "shutdown": shutdown}
        admin: dict[str, Any] = {"host": "127.0.0.1", "port": free_port()}
        async with serving(tmp_path, port, admin=admin, **settings) as process:
            at = await process.listening()
            await process.says("model ready")
            search = asyncio.create_task(say(at, SEARCH))
            passing = asyncio.create_task(say(at, request("/slow")))
            idle = await asyncio.open_connection("127.0.0.1", at)
            await asyncio.gather(came.wait(), upstream.slow.wait())
            os.kill(process.child.pid, signal.SIGTERM)
            os.kill(process.child.pid, signal.SIGHUP)
            await process.says("stopping")
            assert b'"stopping"' in await say(admin["port"], request("/health/ready"))
            assert status(await say(at, request("/still-taken"))) == b"200"
            idle[1].write(request("/last").replace(b"Connection: close\r\n", b""))
            last = await idle[0].read()
            go.set()
            upstream.go.set()
            assert b"\r\nX-Rescore: reranked" in await search
            assert lines(await passing)[0] == lines(OK)[0]
            assert await process.ended() == 0
            idle[1].close()
    assert status(last) == b"200"
    with pytest.raises(ConnectionRefusedError):
        await say(at, request("/"))


@pytest.mark.parametrize(("fault", "code"), [("hanging thread", 0), ("endless loading", 0), ("hanging loop", 1)])
async def test_what_hangs_is_left_behind(tmp_path: Path, fault: str, code: int) -> None:
    async with serving(tmp_path, fault=fault, shutdown={"grace_period": "1s" if code else "1h"}) as process:
        await process.says("listening" if fault == "endless loading" else "model ready")
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == code
    assert "stopping" in str(process.logged)
    assert ("what still runs is left behind" in str(process.logged)) == bool(code)


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    async with recording(Waits()) as upstream:
        shutdown = {"grace_period": "1h"}
        async with serving(tmp_path, upstream={"urls": [upstream.url]}, shutdown=shutdown) as process:
            passing = asyncio.create_task(say(await process.listening(), request("/slow")))
            await upstream.slow.wait()
            os.kill(process.child.pid, signal.SIGTERM)
            await process.says("stopping")
            os.kill(process.child.pid, signal.SIGTERM)
            assert await process.ended() == -signal.SIGTERM
            assert await passing == b""
            upstream.go.set()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_the_process_starts_ends_it_in_order(tmp_path: Path, first: signal.Signals) -> None:
    async with serving(tmp_path) as process:
        await process.listening()
        os.kill(process.child.pid, first)
        assert await process.ended() == 0


async def exchanges(port: int, done: asyncio.Event, failures: list[str]) -> int:
    """Ask on one connection until it is told to close it, then on another; every failure counts."""
    served = 0
    while not done.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b""
            while b"Connection: close" not in head and not done.is_set():
                writer.write(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                served += status(head) == b"200"
            writer.close()
        except (OSError, EOFError) as problem:
            failures.append(repr(problem))
    return served


async def test_a_process_is_replaced_under_load_without_one_failed_request(tmp_path: Path) -> None:
    failures: list[str] = []
    done = asyncio.Event()
    async with recording(Recorder()) as upstream, contextlib.AsyncExitStack() as stack:
        listen = {"host": "127.0.0.1", "port": free_port(), "reuse_port": True}
        settings: dict[str, Any] = {"listen": listen, "upstream": {"urls": [upstream.url]}}
        process = await stack.enter_async_context(serving(tmp_path, **settings))
        port = await process.listening()
        clients = [asyncio.create_task(exchanges(port, done, failures)) for _ in range(8)]
        for _ in range(3):
            following = await stack.enter_async_context(serving(tmp_path, **settings))
            await following.listening()
            os.kill(process.child.pid, signal.SIGTERM)
            assert await process.ended() == 0
            process = following
        done.set()
        served = await asyncio.gather(*clients)
    assert failures == []
    assert sum(served) == len(upstream.heads)
    assert min(served) > 0
