"""What the host computes for a top-100 search, whatever device scores: CPU milliseconds, as a whole and by part.

The model is a stand-in that takes no time, the documents' encodings are cached, scores are not. CPU time counts, not
the clock: other load on the machine changes it little. "rest" is HTTP on both sides, and handing over between threads.
Aim: 1.5 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import no_model, report
from benchmarks.load import closed_loop
from benchmarks.servers import elasticsearch, fill, post, process, search_body
from benchmarks.texts import Texts
from sidecar.config.fusion import Fusion
from sidecar.config.model import Engine as Settings
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.request import SearchRequest
from sidecar.observing.metrics import Metrics
from sidecar.observing.records import RescoreRecord
from sidecar.rescoring import first_stage, rewrite
from sidecar.rescoring.plan import RescorePlan, plan
from sidecar.rescoring.scored import permutation, score_request
from sidecar.scoring.local.engine import Engine

_PATH = "/bench/_search"
_MAPPING = {"fields": ["text"], "window_size": 100, "timeout": "300s", "budget": False}
_ENGINE = {"model": "bundled", "score_cache": 0, "max_waiting_pairs": 1_000_000}
_ROUNDS = 5


def descendants(process: int) -> list[int]:
    """Return a process and all below it."""
    found = [process]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(processes: list[int]) -> float:
    """Return the CPU time that processes have used so far."""
    spent = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:13] for each in processes]
    return sum(int(ticks) for both in spent for ticks in both) / os.sysconf("SC_CLK_TCK")


def _plan(body: bytes) -> RescorePlan:
    headers = {"content-type": "application/json"}
    request = SearchRequest(method="POST", target=_PATH, body=body, headers=headers)
    found = plan(request, IndexMapping.model_validate(_MAPPING), "bench", {None: Fusion()})
    if not isinstance(found, RescorePlan):
        raise TypeError(found)
    return found


def _each(work: Callable[[int], object], count: int) -> float:
    """Return the CPU milliseconds of one call, of the best round."""
    rounds = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        for i in range(count):
            work(i)
        rounds.append((time.process_time() - before) / count * 1000)
    return min(rounds)


def parts(direct: str, bodies: list[bytes]) -> dict[str, float]:
    """Measure each part by itself, on the answers that Elasticsearch gives to these searches."""
    plans = list(map(_plan, bodies))
    answers = [post(direct + _PATH, body)[1] for body in bodies]
    firsts = [first_stage.read(answer, each) for answer, each in zip(answers, plans, strict=True)]
    requests = [score_request(first, each, float("inf")) for first, each in zip(firsts, plans, strict=True)]
    record, metrics, many = RescoreRecord(outcome="reranked", mapping="bench", model="none"), Metrics(), len(bodies)
    engine = Engine(Settings.model_validate(_ENGINE))
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        scores = [runner.run(engine.score(request)) for request in requests]
        found = {
            "plan": _each(lambda i: _plan(bodies[i]), many),
            "take apart": _each(lambda i: first_stage.read(answers[i], plans[i]), many),
            "score": _each(lambda _: runner.run(_all(engine, requests)), 1) / many,
            "write back": _each(
                lambda i: rewrite.apply(
                    firsts[i],
                    plans[i],
                    permutation(firsts[i], plans[i], scores[i].values),
                    took_ms=1,
                    model="none",
                ),
                many,
            ),
            "tell": _each(lambda _: _tell(record, metrics), many),
        }
        runner.run(engine.close())
    return found


def _tell(record: RescoreRecord, metrics: Metrics) -> None:
    record.header()
    record.server_timing()
    metrics._count_all(record)


async def _all(engine: Engine, requests: list[Any]) -> None:
    for request in requests:
        await engine.score(request)


def whole(through: str, pid: int, bodies: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Measure the CPU time of the sidecar's processes while clients search."""
    turn, spent, per_second = iter(range(1 << 60)), [], []
    for _ in range(_ROUNDS):
        everything = descendants(pid)
        before = cpu_seconds(everything)
        load = closed_loop(through, _PATH, lambda: bodies[next(turn) % len(bodies)], clients, seconds)
        latencies, heads, took = asyncio.run(load)
        if not all(b"X-Rescore: reranked" in head for head in heads):
            sys.exit("a search was not rescored")
        spent.append((cpu_seconds(everything) - before) / len(latencies) * 1000)
        per_second.append(len(latencies) / took)
    return {"cpu_ms": min(spent), "median_cpu_ms": statistics.median(spent), "searches_per_second": max(per_second)}


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench host", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    args = parser.parse_args(words)
    where = report.machine()
    texts = Texts()
    no_model.install()
    with elasticsearch(args.elasticsearch) as direct:
        fill(direct, "bench", [texts.document() for _ in range(8000)])
        bodies = [search_body(texts.words(6), 100) for _ in range(50)]
        figures: dict[str, Any] = {"parts_cpu_ms": parts(direct, bodies)}
        settings = {"upstream": {"urls": [direct]}, "engine": _ENGINE, "indices": {"bench": _MAPPING}}
        for workers in (1, 2):
            with process({**settings, "workers": workers}, "benchmarks.no_model") as (through, pid):
                whole(through, pid, bodies, 8, args.seconds / _ROUNDS)  # warm up
                rows = {str(clients): whole(through, pid, bodies, clients, args.seconds) for clients in (1, 8)}
            figures[f"workers_{workers}"] = rows
    _print(figures)
    print("written to", report.write("host", figures, where))
    return 0


def _print(figures: dict[str, Any]) -> None:
    total = figures["workers_1"]["1"]["cpu_ms"]
    named = figures["parts_cpu_ms"]
    for name, milliseconds in {**named, "rest": total - sum(named.values()), "whole": total}.items():
        print(f"{name:>12} {milliseconds:7.3f} ms")
    for workers in (1, 2):
        for clients, row in figures[f"workers_{workers}"].items():
            print(
                f"{workers} workers, {clients:>2} clients: {row['cpu_ms']:6.3f} ms CPU a search in all processes,"
                f" {row['searches_per_second']:6.1f} a second"
            )
