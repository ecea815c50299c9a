"""Signals in every state of the process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from hardening.faults.asking import FEW, Answer
from hardening.faults.behaviours import late
from hardening.faults.bench import Bench, Fault
from hardening.faults.laws import Verdict
from hardening.faults.process import Process

STARTING, IDLE, SEARCHING, HANGING = (
    "while the model is loaded",
    "while nothing is asked",
    "while searches run",
    "while the model hangs",
)
_WORDS = {STARTING: "loading hangs", HANGING: "model hangs"}
_TOLD = frozenset({"reranked", "failed", "passed: model_loading", "passed: several_reasons"})


async def _asked(bench: Bench, process: Process, state: str) -> list[asyncio.Task[list[Answer]]]:
    """Bring a process into a state, and return what is asked of it there."""
    if state == IDLE:
        return []
    if state == SEARCHING:
        bench.nodes[0].behave = late(0.5)
    if state == HANGING:
        process.spoil(_WORDS[state])
    asking = asyncio.create_task(process.ask(FEW))
    while bench.nodes[0].met < len(FEW):  # noqa: ASYNC110 - the relay counts
        await asyncio.sleep(0.01)
    return [asking]


async def _in_state(
    bench: Bench, fault: Fault, state: str, act: Callable[[Process, int], Awaitable[list[str]]], *, cut: bool
) -> Verdict:
    process = bench.process()
    bench.sound()
    try:
        if state == STARTING:
            process.spoil(_WORDS[state])
        await process.start()
        if state != STARTING:
            await process.scores()
        bench.sound()
        start = len(process.said)
        asking = await _asked(bench, process, state)
        broken = await act(process, start)
        answers = [answer for task in asking for answer in await task]
        verdict = bench.judged(answers, cut=cut)
        verdict.broken += broken + await bench.shown(fault, process, start, {}, {})
        verdict.broken += [
            f"X-Rescore says {each}"
            for each in sorted({answer.told for answer in answers} - _TOLD - {"", "failed: deadline"})
        ]
        await _afterwards(process, verdict)
    finally:
        bench.sound()
        await process.close()
    return verdict


async def _afterwards(process: Process, verdict: Verdict) -> None:
    if process.alive:
        process.spoil("")
        verdict.broken += [] if await process.scores() else ["searches are not rescored afterwards"]


async def _once(process: Process, start: int, number: signal.Signals = signal.SIGTERM) -> list[str]:
    process.signal(number)
    code = await process.ended(25)
    return [] if code == 0 else [f"exit code {code}"]


async def _twice(process: Process, start: int) -> list[str]:
    process.signal(signal.SIGTERM)
    with contextlib.suppress(RuntimeError):
        await process.says("stopping", start)
    with contextlib.suppress(ProcessLookupError):
        process.signal(signal.SIGTERM)
    code = await process.ended(5)
    return [] if code in (0, -signal.SIGTERM) else [f"exit code {code}"]


async def _hangup(process: Process, start: int) -> list[str]:
    process.signal(signal.SIGHUP)
    try:
        await asyncio.wait_for(process.says("configuration reloaded", start), 10)
    except TimeoutError:
        return ["not reloaded"]
    return [] if process.alive else ["the process ended"]


async def _interrupted(process: Process, start: int) -> list[str]:
    return await _once(process, start, signal.SIGINT)


async def _hangup_then_stopped(process: Process, start: int) -> list[str]:
    process.signal(signal.SIGTERM)
    await process.says("stopping", start)
    with contextlib.suppress(ProcessLookupError):
        process.signal(signal.SIGHUP)
    code = await process.ended(25)
    return [] if code == 0 else [f"exit code {code}"]


def _fault(
    name: str,
    state: str,
    act: Callable[[Process, int], Awaitable[list[str]]],
    client: str,
    operator: str,
    log: str,
    *,
    cut: bool = False,
) -> Fault:
    async def run(bench: Bench, fault: Fault) -> Verdict:
        return await _in_state(bench, fault, state, act, cut=cut)

    return Fault(f"{name} {state}", "signals", run, client, operator, "nothing", _TOLD, log)


_ENDED = "what runs is answered, rescored where it can be; then no connection"
_CUT = "what runs is broken off"
FAULTS = (
    *(
        _fault("SIGTERM", state, _once, _ENDED, "`stopping`, exit code 0", '"stopping"')
        for state in _WORDS | {IDLE: "", SEARCHING: ""}
    ),
    *(
        _fault("a second SIGTERM", state, _twice, _CUT, "killed by SIGTERM", "", cut=True)
        for state in _WORDS | {IDLE: "", SEARCHING: ""}
    ),
    *(
        _fault("SIGHUP", state, _hangup, "nothing", "`configuration reloaded`", "configuration reloaded")
        for state in _WORDS | {IDLE: "", SEARCHING: ""}
    ),
    _fault("SIGINT", SEARCHING, _interrupted, _ENDED, "`stopping`, exit code 0", '"stopping"'),
    _fault("SIGHUP during the end,", SEARCHING, _hangup_then_stopped, _ENDED, "`stopping`, exit code 0", '"stopping"'),
)
