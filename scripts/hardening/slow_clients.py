"""Thousands of slow clients beside a normal one: idle connections, heads and bodies that come a byte a second.

The normal client's requests are timed in turns with and without the others. None of them may fail, and the median may
not grow to more than one and a half times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.servers import elasticsearch, fill
from benchmarks.texts import Texts

from hardening.processes import Client, served

_INDEX = "slow"
_PATHS = ("/_bulk", f"/{_INDEX}/_search", "/_msearch", f"/{_INDEX}/_doc/1", "/_cat/indices")
_RATIO = 1.5


@dataclass
class Report:
    """What the normal client met: seconds of its requests, alone and beside the others."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    held: int = 0

    @property
    def ratio(self) -> float:
        """How many times longer the median request takes beside the others."""
        return median(self.beside) / median(self.alone)


async def measure(node: str, model: str, idle: int, slow: int, requests: int, rounds: int = 3) -> Report:
    """Ask so many times in each round, alone and beside ``idle`` idle and twice ``slow`` slow clients."""
    settings = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"port": 0},
        "upstream": {"urls": [node]},
        "engine": {"model": model},
        "indices": {_INDEX: {"fields": ["text"], "window_size": 10}},
    }
    report = Report()
    async with served(settings) as port:
        client = Client(port)
        await _ask(client, requests)  # warm
        for _ in range(rounds):
            report.alone += await _ask(client, requests)
            async with _slow_clients(port, idle, slow) as others:
                report.beside += await _ask(client, requests)
                report.held = sum(map(_open, others))
        client.close()
    report.failures = client.failures
    return report


async def _ask(client: Client, requests: int) -> list[float]:
    """Ask in turns for what passes and for what is sent with a body."""
    body = json.dumps({"size": 1, "query": {"match_all": {}}}).encode()
    seconds = []
    for number in range(requests):
        began = time.perf_counter()
        await (client.ask("POST", f"/{_INDEX}/_count", b"{}") if number % 2 else client.ask("POST", "/_search", body))
        seconds.append(time.perf_counter() - began)
    return seconds


@contextlib.asynccontextmanager
async def _slow_clients(port: int, idle: int, slow: int) -> AsyncIterator[list[socket.socket]]:
    heads = [f"GET {_PATHS[i % len(_PATHS)]} HTTP/1.1\r\nHost: h\r\nX-Slow: ".encode() for i in range(slow)]
    bodies = [
        f"POST {_PATHS[i % len(_PATHS)]} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000000\r\n\r\n".encode()
        for i in range(slow)
    ]
    others = [await _connected(port, sent) for sent in [*[b""] * idle, *heads, *bodies]]
    dripping = asyncio.create_task(_drip(others[idle:]))
    try:
        yield others
    finally:
        dripping.cancel()
        for each in others:
            each.close()


async def _connected(port: int, sent: bytes) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, sent)
    return client


async def _drip(clients: Iterable[socket.socket]) -> None:
    while True:
        await asyncio.sleep(1.0)
        for client in clients:
            with contextlib.suppress(OSError):  # it may have been let go
                client.send(b"x")


def _open(client: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        try:
            return client.recv(1, socket.MSG_PEEK) != b""
        except ConnectionError:
            return False
    return True


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="scripts/slow-clients", description=__doc__)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=500, help="clients with slow heads, and as many with slow bodies")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with elasticsearch(args.elasticsearch) as node:
        prepare(node)
        report = asyncio.run(measure(node, args.model, args.idle, args.slow, args.requests))
    print(f"median alone {median(report.alone) * 1000:.2f} ms, beside {median(report.beside) * 1000:.2f} ms")
    print(f"ratio {report.ratio:.2f}; {report.held} slow clients held; {len(report.failures)} requests failed")
    print("\n".join(report.failures[:20]))
    return 1 if report.failures or report.ratio > _RATIO else 0


def prepare(node: str) -> None:
    """Make the index that is searched."""
    texts = Texts(vocabulary=1000)
    fill(node, _INDEX, [texts.document() for _ in range(200)])


if __name__ == "__main__":
    raise SystemExit(main())
