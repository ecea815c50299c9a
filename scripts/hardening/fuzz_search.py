"""Generated searches through a sidecar, checked against the node's own answers: the laws are the oracle.

Each round has mappings of its own; each case is a search that clients walk through page by page, all of one round at
the same time. What breaks a law is made smaller, and printed as a request that can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from benchmarks.servers import elasticsearch

from hardening import search_world
from hardening.search_asking import Asker, Checked
from hardening.search_cases import Case, case, mappings
from hardening.search_laws import Violation
from hardening.search_shrinking import as_curl, smaller
from hardening.search_world import World
from sidecar.app import Sidecar, running
from sidecar.config.model import Config

_AT_ONCE = 8
_ROUND = 16
"""Cases of one round, all under the same mappings."""
_SHRINKING = 60
"""Checks that making one violation smaller may take, unless a run says otherwise."""
_SHOWN = 3
"""Violations of one law that are made smaller and shown; more are counted."""


@dataclass(frozen=True)
class Found:
    """A violation, and how to see it again."""

    violation: Violation
    seed: int
    number: int
    indices: dict[str, Any]
    case: Case

    def __str__(self) -> str:
        """Say it, and how to repeat it."""
        again = f"scripts/fuzz search --seed {self.seed} --case {self.number}"
        said = f"== {self.violation.law}: {self.violation.seen}\n   again: {again}\n"
        return f"{said}   indices: {json.dumps(self.indices)}\n   {as_curl(self.case)}"


@dataclass
class Report:
    """What was asked, what became of it, and what broke a law."""

    cases: int = 0
    searches: Counter[str] = field(default_factory=Counter)
    laws: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)

    def add(self, checked: Checked) -> None:
        """Count a case's searches."""
        self.cases += 1
        self.searches.update(checked.counts)

    def uncovered(self) -> list[str]:
        """Say what was hardly tried: a run that rescores nothing proves nothing."""
        total = sum(self.searches.values())
        few = []
        for kind, least in (("search reranked", 0.05), ("pit reranked", 0.005), ("msearch any", 0.02)):
            if self.searches[kind] < least * total:
                few.append(f"not covered: {kind}, {self.searches[kind]} of {total} searches")
        return few

    def summary(self) -> str:
        """Return the counts as JSON."""
        searches, violations = dict(sorted(self.searches.items())), dict(sorted(self.laws.items()))
        return json.dumps({"cases": self.cases, "searches": searches, "violations": violations}, indent=1)


async def fuzz(
    node: str,
    world: World,
    model: str,
    seed: int,
    more: Callable[[Report], bool],
    only: int | None = None,
    shrinking: int = _SHRINKING,
) -> Report:
    """Run rounds of cases as long as ``more(report so far)`` says, or the one case ``only``."""
    report = Report()
    async with (
        running(_config(node, model, {})) as sidecar,
        aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as session,
    ):
        asker = Asker(session, node, sidecar.url, world)
        for number in itertools.count() if only is None else [only // _ROUND]:
            if not more(report):
                break
            of_round = range(number * _ROUND, (number + 1) * _ROUND) if only is None else [only]
            await _round(sidecar, asker, seed, of_round, report, shrinking)
    return report


def _config(node: str, model: str, indices: dict[str, Any]) -> Config:
    listener = {"host": "127.0.0.1", "port": 0}
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "upstream": {"urls": [node]}}
    return Config.model_validate(settings | {"engine": {"model": model}, "indices": indices})


async def _round(
    sidecar: Sidecar, asker: Asker, seed: int, numbers: Sequence[int], report: Report, shrinking: int
) -> None:
    indices = mappings(Random(f"{seed}/mappings/{numbers[0] // _ROUND}"))
    sidecar.rescorer.use(_config(asker.node, sidecar.config.engine.model, indices))
    asker.use(indices)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(made: Case) -> Checked:
        async with gate:
            return await asker.check(made)

    cases = [case(Random(f"{seed}/case/{number}")) for number in numbers]
    for number, made, checked in zip(numbers, cases, await asyncio.gather(*map(one, cases)), strict=True):
        report.add(checked)
        for violation in _one_of_each_law(checked.violations):
            report.laws[violation.law] += 1
            if report.laws[violation.law] > _SHOWN:
                continue
            shown, violation = await _shrunk(made, violation, asker, shrinking)
            report.found.append(Found(violation, seed, number, indices, shown))


def _one_of_each_law(violations: list[Violation]) -> list[Violation]:
    return list({violation.law: violation for violation in reversed(violations)}.values())


async def _shrunk(made: Case, violation: Violation, asker: Asker, left: int) -> tuple[Case, Violation]:
    """Take parts away as long as the same law is broken, and checks are left."""
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in smaller(made):
            left -= 1
            again = [each for each in (await asker.check(candidate)).violations if each.law == violation.law]
            if again:
                made, violation, progress = candidate, again[0], True
                break
            if left <= 0:
                break
    return made, violation


def main() -> int:
    """Run for some minutes and report."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz search", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the clock")
    parser.add_argument("--case", type=int, help="only this case of the seed")
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", help="default: a tiny checkpoint made on the spot")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    logging.disable(logging.WARNING)
    with (
        elasticsearch(args.elasticsearch) as node,
        search_world.built(node, args.seed) as world,
        _model(args.model) as model,
    ):
        ends = time.monotonic() + args.minutes * 60
        report = asyncio.run(fuzz(node, world, model, args.seed, lambda _: time.monotonic() < ends, args.case))
    print("\n".join(map(str, report.found)))
    print(report.summary())
    missing = [] if args.case is not None else report.uncovered()
    print("\n".join(missing) or ("laws were broken" if report.found else "no law was broken"))
    return 1 if report.found or missing else 0


@contextlib.contextmanager
def _model(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    from tests.checkpoints import make_checkpoint  # type: ignore[import-untyped]  # tests are checked on their own

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        yield str(make_checkpoint(Path(folder) / "tiny"))


if __name__ == "__main__":
    raise SystemExit(main())
