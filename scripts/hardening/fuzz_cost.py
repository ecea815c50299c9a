"""Looks for requests and documents that cost more than they weigh: CPU time of the event loop, and of all threads.

A search by mutation: the dearest cases so far are changed, and new ones are tried. Each is worked off by a rescorer in
a process of its own, without sockets: Elasticsearch and the model are stand-ins that answer at once. What must hold for
each case of a megabyte: no more than 50 ms on the event loop, and a total in proportion to its bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from hardening.cost_cases import Built, Case, built, case, mutated
from sidecar.config.model import Config
from sidecar.elasticsearch.upstream import EVER, UpstreamAnswer
from sidecar.http import bodies, content_coding
from sidecar.lifetime import leave_alone_what_stays
from sidecar.observing.records import SearchStart, ShadowRecord, Tell
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.outcome import Outcome
from sidecar.rescoring.rescorer import Rescorer
from sidecar.scoring.scorer import ScoreRequest, Scores

_MEGABYTE = 1_000_000
_LOOP_SECONDS = 0.05
_PATIENCE = 60.0
_GROWTH = 1.6
"""How much more than four times the cost four times the bytes may have."""

_MAPPING: dict[str, Any] = {"fields": ["title", "body.text"], "window_size": 10, "timeout": 60}
_SETTINGS: dict[str, Any] = {
    "indices": {
        "i": _MAPPING | {"strip_html": True, "query_fields": "mapped"},
        "h": _MAPPING | {"text_from": "highlight"},
    }
}


class _Observer:
    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        del start
        return nullcontext(lambda record: None)

    def shadow(self, record: ShadowRecord) -> None:
        del record


class _Scorer:
    """Scores at once: what models cost is bounded elsewhere."""

    unready = None

    async def score(self, request: ScoreRequest) -> Scores:
        return Scores(values=[float(len(text) % 7) for text in request.documents], model="none")

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        return [await self.score(request) for request in requests]

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {}

    def stats(self) -> Mapping[str, float]:
        return {}


@dataclass
class _Incoming:
    """A request that is here as a whole."""

    given: Built
    limit: int

    @property
    def method(self) -> str:
        return self.given.method

    @property
    def target(self) -> str:
        return self.given.target

    @property
    def client(self) -> str:
        return ""

    @property
    def headers(self) -> Mapping[str, str]:
        return self.given.headers

    async def read(self) -> bytes | Reason:
        if len(self.given.body) > self.limit:
            return Reason.BODY_TOO_LARGE
        try:
            return await bodies.decoded(self.given.body, self.headers.get("content-encoding"), self.limit)
        except content_coding.TooLargeError:
            return Reason.BODY_TOO_LARGE

    async def fetch(self, method: str, target: str, body: bytes | None, /, within: float = EVER) -> UpstreamAnswer:
        del method, body, within
        answer = self.given.answer
        if target.startswith("/_render"):
            answer = b'{"template_output":' + self.given.body + b"}"
        return UpstreamAnswer(status=200, headers=[], body=answer)


class Bench:
    """A rescorer to which cases are given, on the event loop of the caller."""

    def __init__(self) -> None:
        self.config = Config.model_validate(_SETTINGS)
        self._rescorer = Rescorer(self.config, _Scorer(), _Observer())

    async def work(self, given: Built) -> Outcome | None:
        """Work one request off; None where it is none of a search."""
        found = route(given.method, given.target)
        if found is None:
            return None
        return await self._rescorer.search(found, _Incoming(given, self.config.max_search_body))


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU for some bytes: on the event loop's thread, and on all."""

    size: int
    loop: float
    total: float
    outcome: str

    @property
    def loop_per_megabyte(self) -> float:
        """Seconds on the loop for each megabyte; less than one counts as one."""
        return self.loop * _MEGABYTE / max(self.size, _MEGABYTE)

    @property
    def total_per_byte(self) -> float:
        """Seconds on all threads for each byte, of at least 100,000: each search costs something."""
        return self.total / max(self.size, 100_000)


async def measured(bench: Bench, given: Built) -> Cost:
    """Work a request off and say what it cost."""
    loop, total = time.thread_time(), time.process_time()
    outcome = await bench.work(given)
    loop, total = time.thread_time() - loop, time.process_time() - total
    what = "none" if outcome is None else f"{outcome.record.outcome}; {outcome.record.reason or ''}"
    return Cost(given.size, loop, total, what)


def _serve(pipe: Connection) -> None:
    """Measure what comes, in a process that may be ended at any time."""
    bench = Bench()

    async def one(made: Case, size: int) -> Cost:
        return await measured(bench, built(made, size))

    with asyncio.Runner() as runner, contextlib.suppress(EOFError, KeyboardInterrupt):
        runner.run(one(Case(), 1000))
        leave_alone_what_stays()
        while True:
            pipe.send(runner.run(one(*pipe.recv())))


class _Process:
    """Measures cases in a process, which is replaced when it does not come to an end."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()

    def cost(self, made: Case, size: int) -> Cost | None:
        """Return what a case costs, None where it takes longer than anybody waits."""
        self._pipe.send((made, size))
        if self._pipe.poll(_PATIENCE):
            found: Cost = self._pipe.recv()
            return found
        self.close()
        self._start()
        return None

    def close(self) -> None:
        self._process.kill()
        self._process.join()


@dataclass
class Found:
    """What a run found: the dearest cases, and those that break what must hold."""

    cases: int
    worst: list[tuple[Cost, Case]]
    faults: list[str]


def fault(process: _Process, made: Case) -> tuple[Cost | None, str | None]:
    """Measure a case at a megabyte and at a quarter; what is too dear is measured again, since others disturb it."""
    whole = _least(process, made, _MEGABYTE, 1)
    if whole is not None and whole.loop_per_megabyte > _LOOP_SECONDS:
        whole = _least(process, made, _MEGABYTE, 3)
    if whole is None:
        return None, f"did not end in {_PATIENCE:g} s"
    if whole.loop_per_megabyte > _LOOP_SECONDS:
        return whole, f"{whole.loop * 1000:.0f} ms on the loop for {whole.size} bytes"
    if Reason.INTERNAL_ERROR in whole.outcome:
        return whole, "a bug of ours"
    return whole, _growth(process, made, whole) if whole.total > 0.2 else None


def _growth(process: _Process, made: Case, whole: Cost) -> str | None:
    quarter = _least(process, made, _MEGABYTE // 4, 2)
    again = _least(process, made, _MEGABYTE, 1)
    if quarter is None or again is None:
        return f"did not end in {_PATIENCE:g} s"
    grown = min(whole.total, again.total) / quarter.total
    return f"{grown:.1f} times the CPU for four times the bytes" if grown > 4 * _GROWTH else None


def _least(process: _Process, made: Case, size: int, times: int) -> Cost | None:
    costs = [process.cost(made, size) for _ in range(times)]
    return None if None in costs else min((cost for cost in costs if cost is not None), key=lambda cost: cost.loop)


def fuzz(random: Random, ends: float) -> Found:
    """Search until ``ends``, by the monotonic clock."""
    process, found = _Process(), Found(0, [], [])
    try:
        while time.monotonic() < ends and len(found.faults) < 20:
            parents = [each for _, each in found.worst]
            made = mutated(random.choice(parents), random) if parents and random.random() < 0.6 else case(random)
            found.cases += 1
            cost, wrong = fault(process, made)
            if wrong is not None:
                found.faults.append(f"{wrong}: {described(made)}")
            if cost is not None and made not in parents:
                found.worst = _dearest([*found.worst, (cost, made)])
    finally:
        process.close()
    return found


def _dearest(costs: list[tuple[Cost, Case]]) -> list[tuple[Cost, Case]]:
    """Keep the ten dearest for the loop and the ten dearest of all, one for each way to be dear."""
    kept: list[tuple[Cost, Case]] = []
    for ranked in (
        sorted(costs, key=lambda pair: pair[0].loop_per_megabyte, reverse=True),
        sorted(costs, key=lambda pair: pair[0].total_per_byte, reverse=True),
    ):
        first = {kind(made): (cost, made) for cost, made in reversed(ranked)}  # the dearest of each kind
        kept += [pair for pair in ranked if first[kind(pair[1])] == pair and pair not in kept][:10]
    return kept


def kind(made: Case) -> tuple[object, ...]:
    """Return what a case is like, whatever it is made of: so that the dearest ten are ten things to mend."""
    pieces = tuple((each.slot.partition(".")[0], each.shape) for each in (*made.body, *made.hits, *made.answer))
    return made.endpoint, pieces, tuple(made.parameters)[:1], made.coding


def described(made: Case) -> str:
    """Describe a case in one line."""
    return json.dumps({name: value for name, value in asdict(made).items() if value and value != asdict(Case())[name]})


def report(found: Found) -> str:
    """Return the ten dearest cases for the loop and of all, as a table."""
    rows = ["| loop ms | all threads ms | bytes | outcome | case |", "|---|---|---|---|---|"]
    for cost, made in found.worst:
        times = f"{cost.loop * 1000:.1f} | {cost.total * 1000:.0f} | {cost.size} | {cost.outcome}"
        rows.append(f"| {times} | `{described(made).replace('|', ' ')}` |")
    return "\n".join(rows)


def main() -> int:
    """Run for some minutes and report."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz cost", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the clock")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    found = fuzz(Random(args.seed), time.monotonic() + args.minutes * 60)
    print(report(found))
    print(f"{found.cases} cases")
    print("\n".join(found.faults) or "nothing costs more than it may")
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
