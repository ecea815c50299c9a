"""An `_msearch` of 20 rescored top-100 searches through the whole sidecar, beside the model time of their pairs.

The model time is what the sidecar reports in `Server-Timing`, all searches of the answer together. Aim: the whole
answer takes at most 1.3 times as long.
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

_SEARCHES = 20
_MODEL = re.compile(rb"model;dur=([\d.]+)")


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench msearch", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the round")
    args = parser.parse_args(words)
    where = report.machine()
    texts = Texts()
    with elasticsearch(args.elasticsearch) as direct:
        fill(direct, "bench", [texts.document() for _ in range(20_000)])
        bodies = [_body(texts) for _ in range(50)]
        mapping = {"fields": ["text"], "window_size": 100, "timeout": "300s", "budget": False}
        engine = {"model": args.model, "score_cache": 0}
        settings = {"upstream": {"urls": [direct]}, "engine": engine, "indices": {"bench": mapping}}
        with sidecar(settings) as through:
            row = asyncio.run(_measure(through, bodies, args.seconds))
    print(f"p50 {row['p50']:.0f} ms, model time {row['model_ms']:.0f} ms: {row['ratio']:.2f} times (aim: 1.3)")
    print("written to", report.write("msearch", {"model": args.model, **row}, where))
    return 0


def _body(texts: Texts) -> bytes:
    return b"".join(b"{}\n" + search_body(texts.words(6), 100) + b"\n" for _ in range(_SEARCHES))


async def _measure(through: str, bodies: list[bytes], seconds: float) -> dict[str, Any]:
    turn = iter(range(1 << 60))

    def next_body() -> bytes:
        return bodies[next(turn) % len(bodies)]

    await closed_loop(through, "/bench/_msearch", next_body, 1, seconds / 4)  # warm up
    latencies, heads, _ = await closed_loop(through, "/bench/_msearch", next_body, 1, seconds)
    expected = b"X-Rescore: reranked; reranked=%d; passed=0; failed=0" % _SEARCHES
    for head in heads:
        if expected not in head:
            raise SystemExit(f"a search was not rescored:\n{head.decode()}")
    model = [float(found[1]) for head in heads if (found := _MODEL.search(head))]
    ratios = [latency * 1000 / spent for latency, spent in zip(latencies, model, strict=True)]
    medians = {"model_ms": statistics.median(model), "ratio": statistics.median(ratios)}
    return {"p50": report.percentile(latencies, 50), **medians, "requests": len(latencies)}
