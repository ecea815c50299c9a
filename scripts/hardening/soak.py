"""Mixed load on a sidecar before a real Elasticsearch, in cycles, each ending in silence in which nothing may be left.

A cycle: rescored searches, searches that pass, `_msearch`, `_bulk`, clients that leave in mid-search or mid-upload or
take no answer, and an upstream that goes away and comes back. Then all clients leave, and the sidecar must have as
many tasks as before, no client connection, no busy upstream connection; its memory may not grow from cycle to cycle.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from benchmarks.servers import elasticsearch, fill
from benchmarks.texts import Texts

from hardening.relay import Relay
from sidecar.app import Sidecar, running
from sidecar.config.model import Config

_CLIENTS = 16
_GROWTH = 48 << 20
"""Bytes of memory that later cycles may add: allocators keep some of each peak."""


@dataclass(frozen=True)
class Left:
    """What is there in the silence after a cycle."""

    tasks: int
    clients: int
    upstream: int
    descriptors: int
    memory: int


@dataclass
class Report:
    """What became of the requests, and what each cycle left; the first two warm everything up."""

    outcomes: Counter[str] = field(default_factory=Counter)
    left: list[Left] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Say what leaked between the second cycle and the last."""
        first, last = self.left[:2][-1], self.left[-1]
        found = [f"tasks: {first.tasks} became {last.tasks}"] if last.tasks > first.tasks else []
        found += [f"{last.clients} client connections are left"] if last.clients else []
        found += [f"{last.upstream} upstream requests are under way"] if last.upstream else []
        if last.descriptors > first.descriptors:
            found.append(f"descriptors: {first.descriptors} became {last.descriptors}")
        if last.memory - first.memory > _GROWTH:
            found.append(f"memory: {first.memory >> 20} MiB became {last.memory >> 20} MiB")
        if not self.outcomes["reranked"]:
            found.append(f"no search was rescored: {dict(self.outcomes)}")
        return found


async def soak(node: str, model: str, more: Callable[[int], bool], seconds: float = 5.0, seed: int = 1) -> Report:
    """Run cycles of ``seconds`` as long as ``more(cycles so far)`` says; the node must hold the index `soak`."""
    report, random, texts = Report(), Random(seed), Texts()
    relay = Relay(urlsplit(node).port or 9200)
    await relay.start()
    try:
        async with running(_config(relay.port, model)) as sidecar:
            while more(len(report.left)):
                await _cycle(sidecar, relay, seconds, texts, random, report)
                report.left.append(await _silence(sidecar, relay))
    finally:
        await relay.stop()
    return report


def _config(port: int, model: str) -> Config:
    listener = {"host": "127.0.0.1", "port": 0}
    upstream = {"urls": [f"http://127.0.0.1:{port}"], "dead_timeout": "100ms", "read_timeout": 2, "total_timeout": 10}
    engine = {"model": model, "document_cache": "1mb", "score_cache": "1mb"}
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "upstream": upstream, "engine": engine}
    return Config.model_validate(
        settings | {"indices": {"soak": {"fields": ["text"], "window_size": 20, "timeout": "10s"}}}
    )


async def _cycle(sidecar: Sidecar, relay: Relay, seconds: float, texts: Texts, random: Random, report: Report) -> None:
    ends = time.monotonic() + seconds
    away = asyncio.create_task(_restarts(relay, seconds))
    await asyncio.gather(*(_client(sidecar.port, ends, texts, random, report) for _ in range(_CLIENTS)))
    await away


async def _restarts(relay: Relay, seconds: float) -> None:
    for _ in range(2):
        await asyncio.sleep(seconds / 4)
        await relay.restart(seconds / 16)


async def _client(port: int, ends: float, texts: Texts, random: Random, report: Report) -> None:
    while time.monotonic() < ends:
        act = random.choice((_ask, _ask, _ask, _leave, _leave_uploading, _take_nothing))
        with contextlib.suppress(ConnectionError):
            outcome = await act(port, texts, random)
            report.outcomes[outcome] += 1
            if outcome == "502":  # the upstream is away: clients wait before they try again
                await asyncio.sleep(0.05)


def _request(texts: Texts, random: Random) -> bytes:
    search = json.dumps({"query": {"match": {"text": texts.words(3)}}}).encode()
    bulk = b'{"index":{"_index":"soak-bulk"}}\n' + json.dumps(texts.document()).encode() + b"\n"
    path, body = random.choice(
        (
            (b"/soak/_search", search),
            (b"/soak-bulk/_search", search),
            (b"/_msearch", (b'{"index":"soak"}\n' + search + b"\n") * 3),
            (b"/_bulk", bulk * 50),
        )
    )
    kind = b"json" if path.endswith(b"/_search") else b"x-ndjson"
    head = b"POST %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/%b\r\n"
    return head % (path, kind) + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _ask(port: int, texts: Texts, random: Random) -> str:
    async with _connected(port) as (reader, writer):
        writer.write(_request(texts, random))
        answer = await reader.read()
    if b"\r\nX-Rescore: reranked" in answer:
        return "reranked"
    return answer[9:12].decode() or "broken off"


async def _leave(port: int, texts: Texts, random: Random) -> str:
    async with _connected(port) as (_, writer):
        writer.write(_request(texts, random))
        await asyncio.sleep(random.random() / 50)
    return "left"


async def _leave_uploading(port: int, texts: Texts, random: Random) -> str:
    async with _connected(port) as (_, writer):
        sent = _request(texts, random)
        writer.write(sent[: random.randrange(len(sent))])
        await asyncio.sleep(random.random() / 50)
    return "left uploading"


async def _take_nothing(port: int, texts: Texts, random: Random) -> str:
    async with _connected(port) as (_, writer):
        writer.write(b"GET /soak/_search?size=5000 HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.sleep(random.random() / 5)
    return "took nothing"


async def _silence(sidecar: Sidecar, relay: Relay) -> Left:
    """Wait until nothing moves any more, at most as long as the upstream's own timeouts, without pooled connections."""
    left = _left(sidecar)
    for _ in range(100):
        await asyncio.sleep(0.1)
        if not left.clients and not left.upstream:
            break
        left = _left(sidecar)
    await relay.stop()
    await asyncio.sleep(0.5)
    left = _left(sidecar)
    await relay.start()
    return left


def _left(sidecar: Sidecar) -> Left:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is no leak
    stats = sidecar.proxy_stats()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Left(
        tasks=len(asyncio.all_tasks()),
        clients=int(stats["client_connections"]),
        upstream=int(stats["upstream_requests"]),
        descriptors=len(os.listdir("/proc/self/fd")),
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
    )


def main() -> int:
    """Run for some minutes and report."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    ends = time.monotonic() + args.minutes * 60
    with elasticsearch(args.elasticsearch) as node:
        prepare(node)
        report = asyncio.run(soak(node, args.model, lambda cycles: cycles < 3 or time.monotonic() < ends))
    print(f"{len(report.left)} cycles: {dict(report.outcomes)}")
    print(f"after the second: {report.left[1]}\nafter the last:  {report.left[-1]}")
    print("\n".join(report.faults()) or "nothing leaked")
    return 1 if report.faults() else 0


def prepare(node: str, documents: int = 5000) -> None:
    """Make the index that is searched."""
    texts = Texts()
    fill(node, "soak", [texts.document() for _ in range(documents)])


if __name__ == "__main__":
    raise SystemExit(main())
