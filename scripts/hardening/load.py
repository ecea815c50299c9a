"""Mixed traffic in an open loop at a multiple of the scoring capacity: `scripts/load`.

First the capacity is measured (a closed loop of rescored searches), and what passing requests take beside nothing. Then
requests arrive at random moments, whatever became of those before them: 70 % are searches to rescore, as many as
`--times` the capacity, 20 % pass, 10 % are bulks. Printed are ratios; exit code 1 where one misses its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.load import Connection
from benchmarks.servers import elasticsearch, fill, search_body
from benchmarks.texts import Texts

from hardening.memory import growth
from hardening.processes import Serving, serve

_INDEX, _WRITTEN = "load", "load-written"
_WINDOW = 50
_SLACK = 0.05  # seconds
_GROWTH = 64 << 20  # bytes
_WINDOWS = 10  # of memory
_PAIRS = re.compile(r"(?m)^sidecar_pairs_total\{.*\} ([\d.e+]+)$")
_ES = re.compile(rb"(?im)^server-timing: es;dur=([\d.]+)")
_TOLD = re.compile(rb"(?im)^x-rescore: (\w+)(?:; reason=(\w+))?")


@dataclass
class Report:
    """What was measured; times are seconds."""

    capacity: float = 0.0
    passing_unloaded: float = 0.0
    seconds: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    passing: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    pairs: float = 0.0

    def ratios(self) -> dict[str, float]:
        """Return what has a limit."""
        return {
            "failed requests": len(self.failures),
            "p99 of searches beyond Elasticsearch and deadline": percentile(self.beyond, 99),
            "p99 of passing requests to the unloaded sidecar's": percentile(self.passing, 99)
            / max(self.passing_unloaded, 1e-9),
            "goodput to capacity": self.pairs / max(self.seconds, 1e-9) / max(self.capacity, 1e-9),
            "growth of memory in MiB": growth(self.memory) / (1 << 20) if len(self.memory) > 1 else 0.0,
        }

    def faults(self) -> list[str]:
        """Return what misses its limit."""
        failed, beyond, passing, goodput, grown = self.ratios().values()
        found = [f"{failed:.0f} requests failed, such as {self.failures[0]}"] if failed else []
        found += [f"p99 of searches: {beyond:.3f} s beyond Elasticsearch and deadline"] if beyond > _SLACK else []
        found += [f"p99 of passing requests: {passing:.2f} times the unloaded sidecar's"] if passing > 2 else []
        found += [f"goodput: {goodput:.2f} of the capacity"] if goodput < 0.85 else []
        return found + ([f"memory grew by {grown:.0f} MiB"] if grown > _GROWTH >> 20 else [])


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, 0 of nothing."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)] if values else 0.0


class Traffic:
    """Sends requests on connections that are kept, as many as are under way at once."""

    def __init__(self, url: str, deadline: float, seed: int = 1) -> None:
        self._url = url
        self._deadline = deadline
        self._texts = Texts(seed)
        self._idle: list[Connection] = []
        self.report = Report()

    async def patient_search(self) -> None:
        """Ask for what is to be rescored, however long that takes."""
        body = json.loads(search_body(self._texts.words(3), 10)) | {"ext": {"rescore": {"timeout_ms": 10_000}}}
        await self._timed(f"/{_INDEX}/_search", json.dumps(body).encode())

    async def search(self) -> None:
        """Ask for what is to be rescored."""
        took, head, _ = await self._timed(f"/{_INDEX}/_search", search_body(self._texts.words(3), 10))
        spent = _ES.search(head)
        self.report.beyond.append(took - self._deadline - (float(spent[1]) / 1000 if spent else 0.0))
        told = _TOLD.search(head)
        self.report.told["" if told is None else b": ".join(filter(None, told.groups())).decode()] += 1

    async def passing(self) -> None:
        """Ask for what is not a search."""
        took, _, _ = await self._timed(f"/{_INDEX}/_count", b'{"query":{"match_all":{}}}')
        self.report.passing.append(took)

    async def bulk(self) -> None:
        """Index twenty documents."""
        lines = [b'{"index":{}}\n%b\n' % json.dumps(self._texts.document()).encode() for _ in range(20)]
        _, _, body = await self._timed(f"/{_WRITTEN}/_bulk", b"".join(lines))
        if b'"errors":false' not in body:
            raise ValueError(f"a bulk failed in part: {body[:200]!r}")

    async def noted(self, name: str, send: Callable[[], Awaitable[None]]) -> None:
        """Send one request; what fails is counted."""
        self.report.sent[name] += 1
        try:
            await send()
        except (OSError, EOFError, ValueError) as problem:
            self.report.failures.append(f"{name}: {problem!r}")

    async def _timed(self, path: str, body: bytes) -> tuple[float, bytes, bytes]:
        self._idle = [each for each in self._idle if not each.ended]
        connection = self._idle.pop() if self._idle else Connection(self._url)
        began = time.perf_counter()
        head, answer = await connection.post(path, body)
        took = time.perf_counter() - began
        self._idle.append(connection)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"{head[:40]!r} {answer[:200]!r}")
        return took, head, answer

    def close(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            connection.close()


async def closed(send: Callable[[], Awaitable[None]], clients: int, seconds: float) -> float:
    """Have each client send one request after the other; return the time it took."""
    began = time.perf_counter()

    async def one() -> None:
        while time.perf_counter() - began < seconds:
            await send()

    await asyncio.gather(*(one() for _ in range(clients)))
    return time.perf_counter() - began


async def storm(traffic: Traffic, rate: float, seconds: float, look: Callable[[], None]) -> None:
    """Send searches at a rate, and all else in proportion, at random moments; look every tenth of the time."""
    random, began, tasks = Random(1), time.perf_counter(), set[asyncio.Task[None]]()
    kinds = {"search": traffic.search, "passing": traffic.passing, "bulk": traffic.bulk}
    due, looked = 0.0, 0
    while due < seconds:
        due += random.expovariate(rate / 0.7)
        await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
        [name] = random.choices(list(kinds), (70, 20, 10))
        task = asyncio.create_task(traffic.noted(name, kinds[name]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if due > seconds * looked / _WINDOWS:
            looked += 1
            look()
    await asyncio.gather(*tasks)
    traffic.report.seconds = time.perf_counter() - began


@dataclass(frozen=True)
class Plan:
    """For how long what is measured; times are seconds."""

    seconds: float = 600.0
    capacity_seconds: float = 20.0
    times: float = 3.0
    deadline: float = 2.0
    clients: int = 2


async def measure(node: str, engine: Mapping[str, Any], plan: Plan) -> Report:
    """Run everything against a sidecar of its own; the node must be prepared."""
    admin = _free_port()
    serving = await serve(_settings(node, engine, plan.deadline, admin))
    traffic = Traffic(f"http://127.0.0.1:{await serving.port()}", plan.deadline)
    report = traffic.report
    try:
        await _ready(admin)
        await closed(traffic.patient_search, plan.clients, plan.capacity_seconds / 4)
        before = await _pairs(admin)
        took = await closed(traffic.patient_search, plan.clients, plan.capacity_seconds)
        report.capacity = (await _pairs(admin) - before) / took
        await closed(traffic.passing, 1, plan.capacity_seconds / 4)
        report.passing_unloaded = percentile(report.passing, 99)
        await _loaded(traffic, serving, admin, plan)
    finally:
        traffic.close()
        await serving.end()
    return report


async def _loaded(traffic: Traffic, serving: Serving, admin: int, plan: Plan) -> None:
    report = traffic.report
    for each in (report.beyond, report.passing, report.told):
        each.clear()
    before = await _pairs(admin)
    rate = plan.times * report.capacity / _WINDOW
    await storm(traffic, rate, plan.seconds, lambda: report.memory.append(_resident(serving.process.pid)))
    report.pairs = await _pairs(admin) - before


def _settings(node: str, engine: Mapping[str, Any], deadline: float, admin: int) -> dict[str, Any]:
    mapping = {"fields": ["text"], "window_size": _WINDOW, "timeout": deadline}
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": admin},
        "upstream": {"urls": [node]},
        "engine": dict(engine),
        "indices": {_INDEX: mapping},
    }


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _ready(admin: int) -> None:
    while True:
        try:
            await _got(admin, "/health/ready")
        except OSError:  # an HTTPError is one
            await asyncio.sleep(0.1)
        else:
            return


async def _pairs(admin: int) -> float:
    return sum(map(float, _PAIRS.findall(await _got(admin, "/metrics"))))


async def _got(admin: int, path: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    return await asyncio.to_thread(get)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def prepare(node: str, documents: int) -> None:
    """Make the index that is searched, and the one that is written to."""
    texts = Texts(seed=2)
    fill(node, _INDEX, [texts.document() for _ in range(documents)])
    fill(node, _WRITTEN, [texts.document()])


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--times", type=float, default=3.0, help="the capacity that searches arrive at")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds that a search may be scored")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--json", type=Path, help="write what was measured into this file")
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    with elasticsearch(args.elasticsearch) as node:
        prepare(node, args.documents)
        plan = Plan(seconds=args.seconds, times=args.times, deadline=args.deadline)
        report = asyncio.run(measure(node, {"model": args.model}, plan))
    if args.json:
        args.json.write_text(as_json(report))
    print(f"capacity {report.capacity:.0f} pairs/s")
    print(f"sent {dict(report.sent)} in {report.seconds:.0f} s; searches: {dict(report.told)}")
    print("\n".join(f"{name}: {value:.3f}" for name, value in report.ratios().items()))
    print(f"MiB: {[size >> 20 for size in report.memory]}")
    print("\n".join(report.faults()) or "all within their limits")
    return 1 if report.faults() else 0


def as_json(report: Report) -> str:
    """Return a report as JSON, its long lists as percentiles."""
    said = vars(report) | {"ratios": report.ratios(), "failures": report.failures[:50]}
    for name in ("beyond", "passing"):
        values = getattr(report, name)
        said[name] = {f"p{percent}": percentile(values, percent) for percent in (50, 90, 99)}
    return json.dumps(said, indent=2) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
