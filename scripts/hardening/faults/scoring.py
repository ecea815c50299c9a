"""Faults of the model and of the tokenizer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from hardening.faults.asking import FEW
from hardening.faults.bench import Bench, Fault, Injected, while_on
from hardening.faults.laws import Verdict
from hardening.faults.process import Process

_OWN = "Elasticsearch's own answer"
_GROUP = "scoring"


def _spoiled(word: str) -> Injected:
    @contextlib.asynccontextmanager
    async def inject(_: Bench, process: Process) -> AsyncIterator[None]:
        process.spoil(word)
        try:
            yield
        finally:
            process.spoil("")

    return inject


def _fault(
    name: str, word: str, reason: str, advice: str, *, told: Sequence[str] = (), client: str = _OWN, **more: Any
) -> Fault:
    told = told or (f"failed: {reason}",)
    log = more.pop("log", f'"reason": "{reason}"')
    metric = more.pop(
        "metric", f'sidecar_searches_total{{endpoint="search",mapping="faults",outcome="failed",reason="{reason}"'
    )
    operator = more.pop("operator", f"`failed; {reason}`, a warning for each search; after some, `circuit_open`")
    run = while_on(_spoiled(word), more.pop("probes", FEW), **more)
    return Fault(name, _GROUP, run, client, operator, advice, frozenset({*told, "failed"}), log, metric)


_MODEL = "see the log; check the model with `sidecar models check`"
_LATE = "lower `window_size` or `max_length`, or raise `timeout`"
_FROM_THE_START = "its own answer"


async def _loading(bench: Bench, fault: Fault) -> Verdict:
    """Ask while the model is being loaded, and wait until it is."""
    process = bench.process()
    process.spoil("loading hangs")
    bench.sound()
    try:
        await process.start()
        before = await process.samples()
        answers = await process.ask()
        verdict = bench.judged(answers)
        verdict.add(await bench.told(fault, process, answers, 0, before))
        verdict.broken += [] if (await process.admin("/health/ready"))[0] == 503 else ["ready without a model"]
        process.spoil("")
        verdict.broken += [] if await process.scores() else ["not rescored once loaded"]
    finally:
        await process.close()
    return verdict


async def _circuit(bench: Bench, fault: Fault) -> Verdict:
    """Make the model fail until its circuit opens; then it is not asked any more."""
    process = await bench.shared(1)
    bench.sound()
    process.spoil("model raises")
    opened = await process.until(lambda answer: answer.told == "passed: circuit_open")
    start, before = len(process.said), await process.samples()
    answers = await process.ask(FEW)
    verdict = bench.judged(answers)
    verdict.add(await bench.told(fault, process, answers, start, before))
    process.spoil("")
    verdict.broken += [] if opened else ["the circuit did not open"]
    verdict.broken += [] if await process.scores() else ["the circuit did not close"]
    return verdict


FAULTS = (
    _fault("the model raises", "model raises", "model_error", _MODEL),
    _fault("the model raises when a batch is started", "model starts to raise", "model_error", _MODEL),
    _fault("the model runs out of memory", "model out of memory", "model_error", "lower `engine.token_budget`"),
    _fault("all scores are NaN", "model nan", "model_error", _MODEL),
    _fault("one score is NaN", "model one nan", "model_error", _MODEL),
    _fault("scores are infinite", "model infinite", "model_error", _MODEL),
    _fault("a score is missing", "model too few", "model_error", _MODEL),
    _fault("scores are too many", "model too many", "model_error", _MODEL),
    _fault("there are no scores", "model none", "model_error", _MODEL),
    _fault("scores have another shape", "model of another shape", "model_error", _MODEL),
    _fault("the model gives nothing", "model nothing", "model_error", _MODEL),
    _fault("the model is slow", "model slow 1.2", "deadline", _LATE),
    _fault(
        "the model is somewhat slow",
        "model slow 0.1",
        "deadline",
        _LATE,
        told=("reranked",),
        client="the rescored answer, that much later",
        log='"outcome": "reranked"',
        metric="sidecar_stage_seconds",
        operator='`sidecar_stage_seconds{stage="model"}`',
        probes=("page", "count"),
    ),
    _fault(
        "the model hangs",
        "model hangs",
        "deadline",
        "see `sidecar_engine_hanging`; a batch of more than a minute is given up",
    ),
    _fault(
        "the scoring thread raises out of its loop",
        "model exits",
        "model_error",
        _MODEL,
        log="a scoring thread failed; it begins anew",
        metric="sidecar_engine_restarts_total",
        operator="`failed; model_error`, `sidecar_engine_restarts_total`, an error with the stack",
    ),
    _fault(
        "the scoring thread is gone",
        "model ends its thread",
        "deadline",
        _MODEL,
        told=("failed: deadline", "failed: model_error", "reranked"),
        log="a scoring thread died",
        metric="sidecar_engine_restarts_total",
        operator="`sidecar_engine_restarts_total`, an error; perhaps one `failed; deadline`",
        client="the rescored answer, or Elasticsearch's own",
        rounds=2,
        probes=("page", "count"),
    ),
    _fault(
        "the tokenizer raises",
        "tokenizer raises",
        "internal_error",
        _MODEL,
        told=("failed: internal_error", "failed: model_error"),
        log="failed",
        metric="",
    ),
    _fault("the tokenizer hangs", "tokenizer hangs", "deadline", _MODEL),
    _fault("the tokenizer is slow", "tokenizer slow 1.5", "deadline", _LATE),
    _fault(
        "the tokenizer loses a text",
        "tokenizer gives too few",
        "internal_error",
        _MODEL,
        told=("failed: internal_error", "failed: model_error"),
        log="failed",
        metric="",
    ),
    Fault(
        "the model has failed several times in a row",
        _GROUP,
        _circuit,
        _OWN + ", at once",
        "`passed; circuit_open`",
        "see what `failed` said before; it closes by itself once the model answers",
        frozenset({"passed: circuit_open", "passed: several_reasons", "passed", "failed: model_error", "failed"}),
    ),
    Fault(
        "loading the model takes for ever",
        _GROUP,
        _loading,
        _OWN,
        "`passed; model_loading`, `/health/ready` 503 (`starting`)",
        "see the log; the model may be on a slow disk or hub",
        frozenset({"passed: model_loading", "passed: several_reasons"}),
    ),
)
