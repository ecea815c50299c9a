"""One of two nodes dies in every way there is: refused, stopped, reset, answering 503. The other serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from sidecar.http.balancing import Balancer
from tests.http.conftest import OK, Recorder, lines, recording, request, say, sidecar_before

NODE = """
import http.server, sys
class Node(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers()
        if self.command != "HEAD": self.wfile.write(b"child")
    do_HEAD = do_POST = do_PUT = do_GET
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Node)
print(server.server_port, flush=True)
server.serve_forever()
"""
QUICK: dict[str, Any] = {"probe_after": 0.2, "connect_timeout": 0.3, "dead_timeout": 0.1}


@contextlib.asynccontextmanager
async def process() -> AsyncIterator[tuple[str, int]]:
    """Run a stand-in node in a process of its own, which can be stopped."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", NODE, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    try:
        yield f"http://127.0.0.1:{port}", child.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def stop(pid: int) -> None:
    """Stop a child; until the kernel says that it has stopped, it may still answer."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def served_by(answers: list[bytes]) -> list[bytes]:
    return [answer.partition(b"\r\n\r\n")[2] for answer in answers]


async def test_a_stopped_node_is_taken_out_its_waiting_reads_move_and_it_comes_back() -> None:
    async with (
        recording(Recorder()) as other,
        process() as (url, pid),
        sidecar_before(url, other.url, **QUICK) as sidecar,
    ):
        assert set(served_by([await say(sidecar.port, request("/")) for _ in range(4)])) == {b"ok", b"child"}
        stop(pid)
        reads = await asyncio.gather(
            *(say(sidecar.port, request("/articles/_search", method=m)) for m in ("GET", "POST") * 4)
        )
        assert served_by(reads) == [b"ok"] * 8
        assert sidecar.proxy_stats()["upstream_dead_urls"] == 1
        writes = [await say(sidecar.port, request("/a/_doc/1", method="PUT", body=b"{}")) for _ in range(6)]
        assert served_by(writes) == [b"ok"] * 6
        os.kill(pid, signal.SIGCONT)
        while sidecar.proxy_stats()["upstream_dead_urls"]:
            await asyncio.sleep(0.05)  # until a probe finds it
        assert set(served_by([await say(sidecar.port, request("/")) for _ in range(4)])) == {b"ok", b"child"}


async def test_a_write_that_waits_at_a_stopped_node_is_not_sent_again() -> None:
    async with recording(Recorder()) as other, process() as (url, pid):
        async with sidecar_before(url, other.url, read_timeout=1.5, **QUICK) as sidecar:
            await asyncio.gather(*(say(sidecar.port, request("/")) for _ in range(2)))
            stop(pid)
            sent = [request(f"/a/_doc/{i}", method="PUT", body=b"{}") for i in range(2)]
            answers = await asyncio.gather(*(say(sidecar.port, each) for each in sent))
        os.kill(pid, signal.SIGCONT)
    assert sorted(lines(answer)[0].split()[1] for answer in answers) == [b"200", b"504"]
    assert sum(head.startswith(b"PUT") for head in other.heads) == 1


class Answering(Recorder):
    """Answers a GET or HEAD with one status and all else with another."""

    def __init__(self, probes: int, requests: int) -> None:
        super().__init__()
        self._statuses = {True: probes, False: requests}

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        status = self._statuses[self.heads[-1].startswith(b"HEAD")]
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_node_that_answers_everything_with_an_error_of_a_gateway_is_taken_out(status: int) -> None:
    async with (
        recording(Answering(status, status)) as broken,
        recording(Recorder()) as other,
        sidecar_before(broken.url, other.url, **QUICK) as sidecar,
    ):
        await asyncio.gather(*(say(sidecar.port, request("/", method="PUT")) for _ in range(2)))
        while not sidecar.proxy_stats()["upstream_dead_urls"]:
            await asyncio.sleep(0)
        answers = [await say(sidecar.port, request("/", method="PUT")) for _ in range(6)]
    assert served_by(answers) == [b"ok"] * 6


@pytest.mark.parametrize(("probe", "status"), [(401, 503), (200, 503)])
async def test_a_503_of_a_node_that_is_alive_is_passed_on_and_takes_nothing_out(probe: int, status: int) -> None:
    async with (
        recording(Answering(probe, status)) as red,
        recording(Answering(probe, status)) as other,
        sidecar_before(red.url, other.url, **QUICK) as sidecar,
    ):
        answers = [await say(sidecar.port, request("/", method="PUT")) for _ in range(6)]
        while not all(any(head.startswith(b"HEAD") for head in node.heads) for node in (red, other)):
            await asyncio.sleep(0)
        assert sidecar.proxy_stats()["upstream_dead_urls"] == 0
    assert {lines(answer)[0] for answer in answers} == {b"HTTP/1.1 503 Said"}
    assert [sum(head.startswith(b"PUT") for head in node.heads) for node in (red, other)] == [3, 3]


class Resetting(Recorder):
    """Takes requests and closes."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Close."""
        writer.transport.abort()


async def test_reads_on_a_node_that_closes_every_connection_are_answered_by_the_other() -> None:
    async with (
        recording(Resetting()) as broken,
        recording(Recorder()) as other,
        sidecar_before(broken.url, other.url, **QUICK) as sidecar,
    ):
        answers = [await say(sidecar.port, request("/a/_search", method="POST", body=b"{}")) for _ in range(6)]
        while not sidecar.proxy_stats()["upstream_dead_urls"]:
            await asyncio.sleep(0)
    assert served_by(answers) == [b"ok"] * 6


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 999 Odd", b"HTTP/1.1 600 Odd", b"HTTP/1.1 101 Switching", b"HTTP/1.1 000 No"]
)
async def test_a_status_that_http_does_not_have_is_not_forwarded(said: bytes) -> None:
    answer = said + b"\r\nContent-Length: 0\r\n\r\n"
    async with recording(Recorder(answer)) as upstream, sidecar_before(upstream.url) as sidecar:
        got = await say(sidecar.port, request("/"))
    assert lines(got)[0] == b"HTTP/1.1 502 Bad Gateway"
    assert b'"type": "upstream_protocol"' in got


async def test_with_every_node_dead_each_is_still_tried() -> None:
    async with recording(Recorder()) as one, recording(Recorder()) as two:
        urls = (one.url, two.url)
    async with sidecar_before(*urls, dead_timeout=60) as sidecar:
        for _ in range(3):
            assert lines(await say(sidecar.port, request("/")))[0].split()[1] == b"502"
        server = await asyncio.start_server(one.serve, "127.0.0.1", int(urls[0].rpartition(":")[2]))
        for _ in range(3):
            assert lines(await say(sidecar.port, request("/")))[0] == lines(OK)[0]
        assert sidecar.proxy_stats()["upstream_dead_urls"] == 1
        server.close()
        await one.end()


def test_urls_take_turns_and_dead_ones_come_last_until_they_answer() -> None:
    balancer = Balancer(["http://a", "http://b", "http://c"], pause=10, random=Random(1))
    assert [balancer.order()[0] for _ in range(4)] == ["http://b", "http://c", "http://a", "http://b"]
    pauses = [balancer.failed("http://c") for _ in range(8)]
    assert all(balancer.order()[-1] == "http://c" for _ in range(3))
    dues = [10, 20, 40, 80, 160, 320, 320, 320]
    assert all(due <= pause <= due * 1.1 for due, pause in zip(dues, pauses, strict=True))
    balancer.answered("http://c")
    assert {balancer.order()[0] for _ in range(3)} == {"http://a", "http://b", "http://c"}
