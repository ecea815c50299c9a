"""The proxy's own cost: a 10-hit search that passes through, against the same search sent directly.

One connection each, requests in turn, for the latency; then 1, 16 and 64 connections, rounds in turn, for the
throughput. Aim: at most 0.6 ms added at the median on an idle two-core machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any

from benchmarks import report
from benchmarks.load import Connection, closed_loop
from benchmarks.servers import elasticsearch, fill, search_body, sidecar
from benchmarks.texts import Texts

_PATH = "/bench/_search"


async def latency(direct: str, through: str, bodies: list[bytes], requests: int) -> dict[str, Any]:
    """Send each search both ways, in turn; milliseconds."""
    connections = {"direct": Connection(direct), "through": Connection(through)}
    seconds: dict[str, list[float]] = {"direct": [], "through": []}
    for i in range(requests + 200):
        for name in sorted(connections, reverse=i % 2 == 0):  # who goes first alternates
            started = time.perf_counter()
            await connections[name].post(_PATH, bodies[i % len(bodies)])
            if i >= 200:  # the first warm both servers up
                seconds[name].append(time.perf_counter() - started)
    for connection in connections.values():
        connection.close()
    found = {name: {f"p{p}": report.percentile(times, p) for p in (50, 99)} for name, times in seconds.items()}
    added = {p: found["through"][p] - found["direct"][p] for p in ("p50", "p99")}
    return {**found, "added": added}


async def throughput(
    direct: str, through: str, bodies: list[bytes], connections: int, seconds: float
) -> dict[str, Any]:
    """Load both, in turn, three rounds; requests a second."""
    rates: dict[str, list[float]] = {"direct": [], "through": []}
    turn = iter(range(1 << 60))
    for _ in range(3):
        for name, url in (("direct", direct), ("through", through)):
            got, _, took = await closed_loop(url, _PATH, lambda: bodies[next(turn) % len(bodies)], connections, seconds)
            rates[name].append(len(got) / took)
    found = {name: statistics.median(values) for name, values in rates.items()}
    return {"connections": connections, **found, "ratio": found["through"] / found["direct"]}


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench proxy", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--requests", type=int, default=3000, help="requests each way for the latency")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a throughput round")
    args = parser.parse_args(words)
    where = report.machine()
    texts = Texts()
    with elasticsearch(args.elasticsearch) as direct:
        fill(direct, "bench", [texts.document() for _ in range(5000)])
        bodies = [search_body(texts.words(3), 10) for _ in range(50)]
        settings = {"upstream": {"urls": [direct]}, "engine": {"model": "bundled"}}
        with sidecar({**settings, "indices": {"other": {"fields": ["text"]}}}) as through:
            figures = asyncio.run(_measure(direct, through, bodies, args))
    _print(figures)
    print("written to", report.write("proxy", figures, where))
    return 0


async def _measure(direct: str, through: str, bodies: list[bytes], args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"latency_ms": await latency(direct, through, bodies, args.requests)}
    found["throughput"] = [await throughput(direct, through, bodies, n, args.seconds) for n in (1, 16, 64)]
    return found


def _print(figures: dict[str, Any]) -> None:
    print(f"{'ms':>10} {'p50':>8} {'p99':>8}")
    for name, times in figures["latency_ms"].items():
        print(f"{name:>10} {times['p50']:8.3f} {times['p99']:8.3f}")
    print(f"{'clients':>10} {'direct/s':>9} {'through/s':>9} {'ratio':>6}")
    for row in figures["throughput"]:
        print(f"{row['connections']:>10} {row['direct']:9.0f} {row['through']:9.0f} {row['ratio']:6.2f}")
