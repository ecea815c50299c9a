"""Where faults are injected: a real node behind two relays, sidecars before them, and the frame that judges a fault."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from elasticsearch import Elasticsearch, helpers

from hardening.faults import laws
from hardening.faults.asking import ALIAS, ALL, INDEX, PROBES, WRITTEN, Answer, ask
from hardening.faults.laws import Truth, Verdict
from hardening.faults.node import FaultyNode, soundly
from hardening.faults.process import Process, settings

_DOCUMENTS = 40
_WORDS = ("zero", "one", "two", "argument", "parser", "file", "archive", "mean", "median", "value")


@dataclass(frozen=True)
class Fault:
    """One fault: how it is injected, what may be seen of it, and its row of the documentation.

    Attributes:
        name: what is injected.
        group: where.
        run: injects it, asks, and judges.
        client: what the client sees.
        operator: what the operator sees.
        advice: what to do.
        told: what `X-Rescore` may say; "failed: deadline" may always be added by a loaded machine.
        log: a pattern that a log line must match.
        metric: the beginning of a sample's name that must have grown or be above 0 while the fault is on.
    """

    name: str
    group: str
    run: Callable[[Bench, Fault], Awaitable[Verdict]]
    client: str
    operator: str
    advice: str
    told: frozenset[str] = frozenset()
    log: str = ""
    metric: str = ""


class Bench:
    """Long-lived; ``async with`` it."""

    def __init__(self, url: str, model: str, folder: Path, timeout: float = 1.0) -> None:
        self.url = url
        self.model = model
        self.folder = folder
        self.timeout = timeout
        self.port = urlsplit(url).port or 9200
        self.nodes = [FaultyNode(self.port), FaultyNode(self.port)]
        self.truth = Truth({}, {})
        self._shared: dict[int, Process] = {}
        self._made = 0

    async def __aenter__(self) -> Bench:
        """Fill the index, start the relays, and ask what is right."""
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _begin(self) -> None:
        await asyncio.to_thread(prepare, self.url)
        for node in self.nodes:
            await node.start()
        direct = {name: (await ask(self.port, PROBES[name])).body for name in ALL}
        self.truth = Truth(direct, {})
        process = await self.shared(1)
        answers = {name: await _rescored(process, name) for name in ALL if PROBES[name].scored}
        self.truth = Truth(direct, answers)

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        for process in self._shared.values():
            await process.close()
        for node in self.nodes:
            await node.stop()

    def urls(self, nodes: int) -> list[str]:
        """Return the URLs of the first relays."""
        return [f"http://127.0.0.1:{node.port}" for node in self.nodes[:nodes]]

    def process(self, nodes: int = 1, **changes: Any) -> Process:
        """Return a sidecar that is not started; ``changes`` replace sections of its configuration."""
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        made = settings(self.urls(nodes), self.model, self.timeout)
        made["engine"]["cache_dir"] = str(self.folder / "models")  # what is made of the model is made once
        return Process(folder, {**made, **changes})

    @contextlib.asynccontextmanager
    async def running(self, nodes: int = 1, *, ready: bool = True, **changes: Any) -> AsyncIterator[Process]:
        """Run a sidecar of one's own for the length of the block."""
        process = self.process(nodes, **changes)
        try:
            await process.start()
            if ready:
                await process.scores()
            yield process
        finally:
            await process.close()

    async def shared(self, nodes: int) -> Process:
        """Return the sidecar before so many nodes that faults share which leave it as it was."""
        process = self._shared.get(nodes)
        if process is None or not process.alive:
            process = self._shared[nodes] = self.process(nodes)
            await process.start()
            await process.scores()
        return process

    def sound(self) -> None:
        """Have the relays behave, and forget what they saw."""
        for node in self.nodes:
            node.behave, node.where, node.met = soundly, lambda _: True, 0
            node.seen.clear()

    def judged(
        self,
        answers: Sequence[Answer],
        refused: Sequence[int] = (),
        *,
        cut: bool = False,
        extra: float = 0.0,
    ) -> Verdict:
        """Judge answers by themselves; ``extra`` are seconds of Elasticsearch's that no relay saw."""
        verdict = Verdict()
        for answer in answers:
            seen = [node.seen[answer.who] for node in self.nodes]
            wrong = laws.of_answer(answer, self.truth, seen, refused, cut=cut)
            verdict.broken += [f"{answer.probe.name}: {wrong}"] if wrong else []
            writes = sum(len(each.requests) for each in seen) if answer.probe.name == "bulk" else 0
            verdict.broken += [f"a write was sent {writes} times"] if writes > 1 else []
            verdict.told[answer.told or str(answer.status)] += 1
            if cut and not answer.whole:
                continue
            late = laws.of_time(answer, self.timeout, sum(each.seconds for each in seen) + extra)
            verdict.late += [f"{answer.probe.name}: {late:.2f} s too late"] if late > 0 else []
            verdict.slack = max(verdict.slack, late)
        return verdict

    async def told(
        self, fault: Fault, process: Process, answers: Sequence[Answer], start: int, before: dict[str, float]
    ) -> Verdict:
        """Judge whether header, metric and log tell one story, and the story of this fault."""
        after = await process.samples()
        whos = {answer.who for answer in answers}
        for answer in answers:
            if answer.told:
                await asyncio.wait_for(process.says(re.escape(f'"opaque_id": "{answer.who}"'), start), 10)
        lines = [line for line in process.said[start:] if "logger" in line]
        ours = [line for line in lines if line.get("opaque_id") in whos]
        verdict = Verdict(broken=laws.of_story(answers, ours) + laws.of_metrics(before, after, ours))
        verdict.broken += await self.shown(fault, process, start, before, after)
        unexpected = {answer.told for answer in answers if not _expected(answer, fault)}
        verdict.broken += [f"X-Rescore says {sorted(unexpected)}"] if unexpected else []
        return verdict

    async def shown(
        self, fault: Fault, process: Process, start: int, before: dict[str, float], after: dict[str, float]
    ) -> list[str]:
        """Return what the operator should see and does not."""
        missing = []
        if fault.log:
            try:
                await asyncio.wait_for(process.says(fault.log, start), 10)
            except (TimeoutError, RuntimeError):
                missing.append(f"no log line matches {fault.log!r}")
        moved = [
            name for name, value in after.items() if name.startswith(fault.metric) and value > before.get(name, 0.0)
        ]
        return missing + ([f"{fault.metric} did not move"] if fault.metric and not moved else [])


def _expected(answer: Answer, fault: Fault) -> bool:
    """Return whether `X-Rescore` says what it may; of an `_msearch` it may count what single searches would say."""
    told = fault.told | {"", "failed: deadline", "passed: circuit_open", "passed: several_reasons"}
    outcomes = {each.partition(":")[0] for each in told}
    return answer.told in told or (answer.probe.name == "_msearch" and answer.told in outcomes)


async def _rescored(process: Process, name: str) -> bytes:
    bodies: list[bytes] = []

    def keep(answer: Answer) -> bool:
        bodies.append(answer.body)
        return answer.told == "reranked"

    if not await process.until(keep, name):
        raise RuntimeError(f"{name} is not rescored without any fault: {bodies[-1:]} {process.said[-3:]}")
    return bodies[-1]


def prepare(url: str) -> None:
    """Make the index that is searched, its alias, and the one that is written to."""
    with Elasticsearch(url, request_timeout=120) as client:
        for name in (INDEX, WRITTEN):
            client.indices.delete(index=name, ignore_unavailable=True)
        client.indices.create(
            index=INDEX,
            settings={"number_of_shards": 1, "number_of_replicas": 0},
            mappings={"properties": {"text": {"type": "text"}}},
            aliases={ALIAS: {}},
        )
        client.indices.create(index=WRITTEN, settings={"number_of_shards": 1, "number_of_replicas": 0})
        helpers.bulk(client, (_document(number) for number in range(_DOCUMENTS)))
        client.indices.refresh(index=INDEX)


def _document(number: int) -> dict[str, Any]:
    words = [_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, 4 + number % 17)]
    return {"_index": INDEX, "_id": str(number), "_source": {"text": " ".join(["zero", *words])}}


Injected = Callable[[Bench, Process], contextlib.AbstractAsyncContextManager[None]]


def while_on(
    inject: Injected,
    probes: Sequence[str] = ALL,
    *,
    nodes: int = 1,
    refused: Sequence[int] = (),
    cut: bool = False,
    extra: float = 0.0,
    rounds: int = 1,
) -> Callable[[Bench, Fault], Awaitable[Verdict]]:
    """Return what asks a shared sidecar while a fault is on, and whether it is sound after it."""

    async def run(bench: Bench, fault: Fault) -> Verdict:
        process = await bench.shared(nodes)
        bench.sound()
        start, before = len(process.said), await process.samples()
        answers: list[Answer] = []
        async with inject(bench, process):
            for _ in range(rounds):
                answers += await process.ask(probes)
            verdict = bench.judged(answers, refused, cut=cut, extra=extra)
            verdict.add(await bench.told(fault, process, answers, start, before))
        bench.sound()
        if not await process.scores():
            verdict.broken.append("searches are not rescored after the fault")
        while nodes > 1 and (await process.samples()).get("sidecar_proxy_upstream_dead_urls"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return verdict

    return run


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for a JSON file."""
    slack = None if verdict.slack == float("-inf") else round(verdict.slack, 3)
    return {"told": dict(verdict.told), "broken": verdict.broken, "late": verdict.late, "slack": slack}
