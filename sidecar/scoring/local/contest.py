"""Builds what runs a model: where there are several ways, they race on sample pairs, and the fastest stays.

The first way that works computes the most exactly and is the reference: another is out where it ranks the sample
passages differently. No more than two are in memory at a time. What was found is kept on disk, so that the next start
builds the winner alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.config.model import Engine
from sidecar.errors import ModelError
from sidecar.scoring.local import laps
from sidecar.scoring.local.agreement import LEAST_TAU, agreement, sample_lists, scores
from sidecar.scoring.local.backend import Backend, Logits
from sidecar.scoring.local.backends.onnx import cache_folder
from sidecar.scoring.local.backends.ways import Way, Ways, torch_installed, torch_ways, ways
from sidecar.scoring.local.cpu import busy_clock, cpu_quota
from sidecar.scoring.local.laps import Record
from sidecar.scoring.local.tokenization import PairTokenizer
from sidecar.scoring.local.warm_up import run_first, sample_pairs, timed, warm_up
from sidecar.scoring.models.files import ModelFiles

_CPU_SECONDS = 3.0  # for all laps together
_FIRST_TOKENS, _LAP_TOKENS, _LAPS = 64, 1024, 4
_WORTH = 1.03  # times as fast as the one before it must be what computes less exactly
_DISTURBED = 2.0  # times as long as it computed took a lap in which others had the processor
_log = logging.getLogger("sidecar.scoring")


@dataclass(frozen=True, slots=True)
class Started:
    """What runs a model, warm, one backend a device; how the race went, and whether it was run by an earlier start."""

    backends: Sequence[Backend]
    record: Record
    why: str
    kept: bool = False
    speeds: Sequence[float] = ()
    """Tokens a second of each backend, with a machine to itself."""

    def describe(self) -> dict[str, Any]:
        """Tell the lap times, and why the winner runs."""
        times = {way: round(1e6 / speed, 2) for way, speed in self.record.speeds.items()}
        raced = {"ms_for_1000_tokens": times, "out": dict(self.record.out), "raced": "before" if self.kept else "now"}
        speed = round(self.record.tokens_per_second)
        return {"way": self.record.fastest, "why": self.why, **raced, "tokens_per_second": speed}


@dataclass(slots=True)
class _Race:
    """The state of a race: the fastest backend so far, and what is known of each way."""

    tokenizer: PairTokenizer
    longest: int
    cpu_seconds: float
    clock: Callable[[], float]
    tokens: int = 0
    exact: list[Logits] = field(default_factory=list)
    best: tuple[Way, Backend] | None = None
    speeds: dict[str, float] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    problem: Exception | None = None
    disturbed: bool = False

    def run(self, way: Way, backend: Backend) -> None:
        """Have a way run: it is out where it disagrees, and the best where it is the fastest so far."""
        found = scores(backend, sample_lists(self.tokenizer, self._tokens(backend) // 2))
        self.exact = self.exact or found
        tau = agreement(found, self.exact)
        if tau < LEAST_TAU:
            self.out[str(way)] = f"it ranks otherwise: Kendall's tau {tau:.2f}"
            return
        speed = self._speed(backend)
        if self.best is None or speed > _WORTH * self.speeds[str(self.best[0])]:
            self.best = way, backend
        self.speeds[str(way)] = speed

    def _tokens(self, backend: Backend) -> int:
        """Return how many tokens each way can run in its share of the time, going by the first way's first few."""
        pairs = sample_pairs(_FIRST_TOKENS, self.longest)
        for _ in range(2):  # the first run of all sets things up
            before = time.process_time()
            backend.start(pairs)()
            spent = max(time.process_time() - before, 1e-6)
        self.tokens = self.tokens or max(2, int(self.cpu_seconds / spent) - 2) * _FIRST_TOKENS
        return self.tokens

    def _speed(self, backend: Backend) -> float:
        """Return tokens a second, the best of some laps."""
        tokens = self.tokens // 2
        times = min(_LAPS, max(1, tokens // _LAP_TOKENS))
        pairs = sample_pairs(min(_LAP_TOKENS, tokens), self.longest)
        before = time.monotonic()
        laps = [timed(backend, pairs, self.clock) for _ in range(times)]
        self.disturbed |= time.monotonic() - before > _DISTURBED * sum(laps)
        return sum(map(len, pairs)) / max(min(laps), 1e-9)


def start(files: ModelFiles, engine: Engine, tokenizer: PairTokenizer, longest: int) -> Started:
    """Build what runs a model, and warm it up.

    Raises:
        ModelError: the model is not available.
    """
    found = ways(files, engine)
    if any(way.dtype == "auto" or engine.device.startswith("cuda") for way in found.ways):
        return _on_devices(files, engine, tokenizer, longest, found)
    try:
        return _on_cpu(files, engine, tokenizer, longest, found)
    except ModelError as problem:
        if engine.backend != "auto" or engine.dtype == "int8" or not torch_installed():
            raise
        if any(way.backend == "torch" for way in found.ways):
            raise
        _log.warning("torch runs %s, since onnx cannot: %s", files.name, problem)
        return _on_cpu(files, engine, tokenizer, longest, Ways(torch_ways(engine), f"onnx cannot: {problem}"))


def _on_devices(files: ModelFiles, engine: Engine, tokenizer: PairTokenizer, longest: int, found: Ways) -> Started:
    """Have torch run the model on the devices that ``engine`` names; each races ways of its own."""
    from sidecar.scoring.local.backends.torch import TorchBackend, devices

    [way] = found.ways
    named = devices(engine.device)
    if named[0].type == "cpu":  # the kernel shows a GPU that torch does not
        engine = engine.model_copy(update={"device": "cpu"})
        return _on_cpu(files, engine, tokenizer, longest, ways(files, engine))
    backends = [TorchBackend(files, engine, device, longest) for device in named]
    speeds = [warm_up(backend, engine.token_budget, longest, time.monotonic) for backend in backends]
    _log.info("%s runs %s: %s", way, files.name, found.why)
    lap = {str(way): sum(speeds)}
    record = Record(fastest=str(way), speeds=lap, token_budget=backends[0].budget, tokens_per_second=sum(speeds))
    return Started(backends, record, found.why, speeds=speeds)


def _on_cpu(files: ModelFiles, engine: Engine, tokenizer: PairTokenizer, longest: int, found: Ways) -> Started:
    model = (str(files.directory.resolve()), files.revision, longest)
    choice = (sorted(map(str, found.ways)), engine.threads or cpu_quota(), engine.token_budget)
    file = laps.record_file(cache_folder(engine.cache_dir), *model, *choice)
    started = _as_before(files, engine, longest, found, laps.read(file))
    if started is None:
        started = _raced(files, engine, tokenizer, longest, found)
        laps.keep(file, started.record)
    _log.info("%s runs %s: %s", started.record.fastest, files.name, found.why, extra={"fields": started.describe()})
    return started


def _as_before(files: ModelFiles, engine: Engine, longest: int, found: Ways, record: Record | None) -> Started | None:
    """Build the winner of an earlier race, None where there was none or it does not work any more."""
    way = next((way for way in found.ways if record is not None and str(way) == record.fastest), None)
    if record is None or record.disturbed or way is None:
        return None
    try:
        backend = _built(way, files, engine, longest)
        run_first(backend, longest)
        backend.budget = record.token_budget
    except Exception as problem:
        _log.info("%s, the fastest way to run %s before, does not work now: %s", way, files.name, problem)
        return None
    return Started([backend], record, found.why, kept=True, speeds=[record.tokens_per_second])


def _built(way: Way, files: ModelFiles, engine: Engine, longest: int) -> Backend:
    engine = engine.model_copy(update={"dtype": way.dtype, "device": "cpu"})
    if way.backend == "torch":
        from sidecar.scoring.local.backends.torch import TorchBackend, devices

        return TorchBackend(files, engine, devices("cpu")[0], longest)
    from sidecar.scoring.local.backends.onnx import OnnxBackend

    return OnnxBackend(files, engine)


def _raced(files: ModelFiles, engine: Engine, tokenizer: PairTokenizer, longest: int, found: Ways) -> Started:
    clock = busy_clock(engine.threads or cpu_quota())
    race = _Race(tokenizer, longest, _CPU_SECONDS / len(found.ways), clock)
    if len(found.ways) == 1:
        way, backend = found.ways[0], _built(found.ways[0], files, engine, longest)
    else:
        way, backend = _winner(race, files, engine, found)
    speed = warm_up(backend, engine.token_budget, longest, clock)
    record = Record(
        fastest=str(way),
        speeds=race.speeds or {str(way): speed},
        out=race.out,
        disturbed=race.disturbed,
        token_budget=backend.budget,
        tokens_per_second=speed,
    )
    return Started([backend], record, found.why, speeds=[speed])


def _winner(race: _Race, files: ModelFiles, engine: Engine, found: Ways) -> tuple[Way, Backend]:
    for way in found.ways:
        try:
            race.run(way, _built(way, files, engine, race.longest))
        except Exception as problem:  # a way may fail in whatever manner; where all do, the first one's is told
            race.out[str(way)] = f"{type(problem).__name__}: {problem}".splitlines()[0]
            race.problem = race.problem or problem
    if race.best is None:
        raise race.problem or ModelError(f"nothing runs {files.name}")
    return race.best
