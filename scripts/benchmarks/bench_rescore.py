"""A rescored top-100 search through the whole sidecar, at 1, 4 and 16 clients, split into its stages.

The stages are what the sidecar reports in `Server-Timing`; "rest" is what the client waits beyond them: HTTP,
planning, taking apart and writing the answer. Aim: rest at most 5 % of the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
from typing import Any

from benchmarks import report
from benchmarks.load import closed_loop
from benchmarks.servers import elasticsearch, fill, search_body, sidecar
from benchmarks.texts import Texts

_STAGE = re.compile(rb"(es|queue|tokenize|model);dur=([\d.]+)")


def split(latencies: list[float], heads: list[bytes]) -> dict[str, Any]:
    """Return p50 and p95 of the whole, and the mean of each stage, in milliseconds; and the share of the rest."""
    stages: dict[str, list[float]] = {"es": [], "queue": [], "tokenize": [], "model": [], "rest": []}
    for seconds, head in zip(latencies, heads, strict=True):
        if b"X-Rescore: reranked" not in head:
            raise SystemExit(f"a search was not rescored:\n{head.decode()}")
        found = {name.decode(): float(value) for name, value in _STAGE.findall(head)}
        for name, value in {**found, "rest": seconds * 1000 - sum(found.values())}.items():
            stages[name].append(value)
    mean = {name: statistics.fmean(values) for name, values in stages.items()}
    whole = {f"p{p}": report.percentile(latencies, p) for p in (50, 95)}
    return {**whole, "mean_ms": mean, "rest_share": mean["rest"] / (statistics.fmean(latencies) * 1000)}


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench rescore", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a round")
    args = parser.parse_args(words)
    where = report.machine()
    texts = Texts()
    with elasticsearch(args.elasticsearch) as direct:
        fill(direct, "bench", [texts.document() for _ in range(20_000)])
        bodies = [search_body(texts.words(6), 100) for _ in range(500)]
        mapping = {"fields": ["text"], "window_size": 100, "timeout": "300s", "budget": False}
        engine = {"model": args.model, "score_cache": 0}
        settings = {"upstream": {"urls": [direct]}, "engine": engine, "indices": {"bench": mapping}}
        with sidecar(settings) as through:
            rows = asyncio.run(_measure(through, bodies, args.seconds))
    _print(rows)
    print("written to", report.write("rescore", {"model": args.model, "clients": rows}, where))
    return 0


async def _measure(through: str, bodies: list[bytes], seconds: float) -> dict[str, Any]:
    turn = iter(range(1 << 60))
    rows = {}
    await closed_loop(through, "/bench/_search", lambda: bodies[next(turn) % len(bodies)], 1, seconds / 4)  # warm up
    for clients in (1, 4, 16):
        latencies, heads, took = await closed_loop(
            through, "/bench/_search", lambda: bodies[next(turn) % len(bodies)], clients, seconds
        )
        rows[str(clients)] = {**split(latencies, heads), "searches_per_second": len(latencies) / took}
    return rows


def _print(rows: dict[str, Any]) -> None:
    names = ("es", "queue", "tokenize", "model", "rest")
    print(f"{'clients':>8} {'p50 ms':>8} {'p95 ms':>8} {'per s':>6}", *(f"{name:>9}" for name in names), "rest share")
    for clients, row in rows.items():
        stages = (f"{row['mean_ms'][name]:9.1f}" for name in names)
        print(f"{clients:>8} {row['p50']:8.0f} {row['p95']:8.0f} {row['searches_per_second']:6.1f}", *stages, end=" ")
        print(f"{row['rest_share']:10.1%}")
