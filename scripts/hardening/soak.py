"""Mixed load on a sidecar before a real Elasticsearch, in cycles, each ending in silence in which nothing may be left.

A cycle: rescored searches, searches that pass, `_msearch`, `_bulk`, clients that leave in mid-search or mid-upload or
take no answer, and an upstream that goes away and comes back. Then all clients leave, and the sidecar must have as
many tasks as before, no client connection, no busy upstream connection; its memory may not grow from cycle to cycle.
Memory is that of this process: run it as a program, `scripts/soak`, so that nothing else counts.
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
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

from benchmarks.servers import elasticsearch, fill
from benchmarks.texts import Texts

from hardening.memory import growth, resident
from hardening.relay import Relay
from sidecar.app import Sidecar, running
from sidecar.config.model import Config

_CLIENTS = 16
_GROWTH = 48 << 20
"""Bytes of memory that later cycles may add: allocators keep some of each peak."""
_WARM_UP = 2  # cycles
_CYCLES = _WARM_UP + 4
_POLL = 0.1
_POLLS = 600
_STEADY = 5  # polls


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
        first, last = self.left[:_WARM_UP][-1], self.left[-1]
        found = [f"tasks: {first.tasks} became {last.tasks}"] if last.tasks > first.tasks else []
        found += [f"{last.clients} client connections are left"] if last.clients else []
        found += [f"{last.upstream} upstream requests are under way"] if last.upstream else []
        if last.descriptors > first.descriptors:
            found.append(f"descriptors: {first.descriptors} became {last.descriptors}")
        memory = [left.memory for left in self.left[_WARM_UP:]]
        if growth(memory) > _GROWTH:
            found.append(f"memory: MiB after the cycles {[size >> 20 for size in memory]}")
        if not self.outcomes["reranked"]:
            found.append(f"no search was rescored: {dict(self.outcomes)}")
        return found


async def soak(node: str, engine: Mapping[str, Any], more: Callable[[int], bool], acts: int, seed: int = 1) -> Report:
    """Run cycles of so many ``acts`` as long as ``more(cycles so far)`` says; the node must hold the index `soak`."""
    report, random, texts = Report(), Random(seed), Texts()
    relay = Relay(urlsplit(node).port or 9200)
    await relay.start()
    try:
        async with running(_config(relay.port, engine)) as sidecar:
            while more(len(report.left)):
                await _cycle(sidecar, relay, acts, texts, random, report)
                like = report.left[_WARM_UP - 1] if len(report.left) >= _WARM_UP else None
                report.left.append(await _silence(sidecar, relay, like))
    finally:
        await relay.stop()
    return report


def _config(port: int, engine: Mapping[str, Any]) -> Config:
    listener = {"host": "127.0.0.1", "port": 0}
    upstream = {"urls": [f"http://127.0.0.1:{port}"], "dead_timeout": "100ms", "read_timeout": 2, "total_timeout": 10}
    engine = {"document_cache": "1mb", "score_cache": "1mb", **engine}
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "upstream": upstream, "engine": engine}
    return Config.model_validate(
        settings | {"indices": {"soak": {"fields": ["text"], "window_size": 20, "timeout": "10s"}}}
    )


async def _cycle(sidecar: Sidecar, relay: Relay, acts: int, texts: Texts, random: Random, report: Report) -> None:
    """Act so often in all, with the upstream away once a quarter and once three quarters of it are done."""
    left = iter(range(acts))
    restarts = [asyncio.Event(), asyncio.Event()]
    away = asyncio.create_task(_restarts(relay, restarts))

    async def client() -> None:
        for number in left:
            if number in (acts // 4, acts * 3 // 4):
                restarts[number > acts // 2].set()
            await _act(sidecar.port, texts, random, report)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    await away


async def _restarts(relay: Relay, when: Sequence[asyncio.Event]) -> None:
    for moment in when:
        await moment.wait()
        await relay.restart(_POLL)


async def _act(port: int, texts: Texts, random: Random, report: Report) -> None:
    act = random.choice((_ask, _ask, _ask, _leave, _leave_uploading, _take_nothing))
    with contextlib.suppress(ConnectionError):
        outcome = await act(port, texts, random)
        report.outcomes[outcome] += 1
        if outcome == "502":  # the upstream is away: clients wait before they try again
            await asyncio.sleep(_POLL / 2)


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


async def _silence(sidecar: Sidecar, relay: Relay, like: Left | None) -> Left:
    """Wait until nothing moves any more, and without pooled connections as little is there as in ``like``."""
    await _until(sidecar, lambda left, _: not left.clients and not left.upstream)
    await relay.stop()
    try:
        return await _until(sidecar, lambda left, steady: steady if like is None else _as_little(left, like))
    finally:
        await relay.start()


def _as_little(left: Left, like: Left) -> bool:
    return left.tasks <= like.tasks and left.descriptors <= like.descriptors


async def _until(sidecar: Sidecar, done: Callable[[Left, bool], bool]) -> Left:
    """Poll until it is ``done``, told what is left and whether that has been so for some polls; not for ever."""
    recent: deque[tuple[int, int]] = deque(maxlen=_STEADY)
    left = _left(sidecar)
    for _ in range(_POLLS):
        recent.append((left.tasks, left.descriptors))
        if done(left, len(recent) == _STEADY and len(set(recent)) == 1):
            break
        await asyncio.sleep(_POLL)
        left = _left(sidecar)
    return left


def _left(sidecar: Sidecar) -> Left:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is no leak
    stats = sidecar.proxy_stats()
    return Left(
        tasks=len(asyncio.all_tasks()),
        clients=int(stats["client_connections"]),
        upstream=int(stats["upstream_requests"]),
        descriptors=len(os.listdir("/proc/self/fd")),
        memory=resident(),
    )


def main() -> int:
    """Run for some minutes and report."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--acts", type=int, default=1000, help="in a cycle")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--backend", default="auto", choices=("auto", "torch", "onnx"))
    args = parser.parse_args()
    ends = time.monotonic() + args.minutes * 60
    engine = {"model": args.model, "backend": args.backend}
    with elasticsearch(args.elasticsearch) as node:
        prepare(node, args.documents)
        report = asyncio.run(soak(node, engine, lambda done: done < _CYCLES or time.monotonic() < ends, args.acts))
    print(f"{len(report.left)} cycles: {dict(report.outcomes)}")
    print(f"warm: {report.left[_WARM_UP - 1]}\nlast: {report.left[-1]}")
    print("\n".join(report.faults()) or "nothing leaked")
    return 1 if report.faults() else 0


def prepare(node: str, documents: int) -> None:
    """Make the index that is searched."""
    texts = Texts()
    fill(node, "soak", [texts.document() for _ in range(documents)])


if __name__ == "__main__":
    raise SystemExit(main())
