"""The ways to run a model race, on real checkpoints: the fastest that ranks alike stays, and the next start knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.config.model import Engine
from sidecar.errors import ModelError
from sidecar.scoring.local import contest, laps
from sidecar.scoring.local.backend import Backend, Pending
from sidecar.scoring.local.backends.onnx import OnnxBackend
from sidecar.scoring.local.backends.ways import Way, Ways
from sidecar.scoring.local.contest import Started, start
from sidecar.scoring.local.tokenization import EncodedPair, PairTokenizer, load_tokenizer
from sidecar.scoring.models.files import ModelFiles, find
from tests.checkpoints import make_checkpoint

EXACT, OTHER = Way("onnx", "float32"), Way("onnx", "int8")


class Paced:
    """A real backend whose time is counted by the clock of the test: so many seconds a token."""

    def __init__(self, backend: Backend, pace: float, clock: list[float], wrong: bool = False) -> None:
        self._backend, self._pace, self._clock, self._wrong = backend, pace, clock, wrong
        self.labels, self.budgets, self.depth, self.grid = backend.labels, backend.budgets, backend.depth, backend.grid
        self.budget = backend.budget
        self.describe, self.stats = backend.describe, backend.stats

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        found = self._backend.start(pairs)()
        self._clock[0] += self._pace * sum(map(len, pairs))
        return lambda: -found if self._wrong else found


class Machine:
    """A machine on which each way has the speed that the test says; it counts what is built."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path, checkpoint: Path) -> None:
        self.paces: dict[Way, float] = {EXACT: 1e-4, OTHER: 1e-4}
        self.wrong: set[Way] = set()
        self.broken: dict[Way, Exception] = {}
        self.built: list[Way] = []
        self.now = [0.0]
        self._cache, self._checkpoint = cache, checkpoint
        monkeypatch.setattr(contest, "_built", self._build)
        monkeypatch.setattr(contest, "ways", lambda *_: Ways(tuple(self.paces), "the test says so"))
        monkeypatch.setattr(contest, "busy_clock", lambda _: lambda: self.now[0])

    def _build(self, way: Way, files: ModelFiles, engine: Engine, longest: int) -> Backend:
        self.built.append(way)
        if way in self.broken:
            raise self.broken[way]
        exact = engine.model_copy(update={"dtype": "float32"})
        return Paced(OnnxBackend(files, exact), self.paces[way], self.now, way in self.wrong)

    def start(self, **settings: Any) -> Started:
        self.built.clear()
        files = find(str(self._checkpoint))
        tokenizer = PairTokenizer(load_tokenizer(files.directory), 128)
        engine = Engine(**{"cache_dir": str(self._cache), "threads": 1, "backend": "onnx", **settings})
        return start(files, engine, tokenizer, 128)

    def record(self) -> Path:
        [file] = (self._cache / "laps").iterdir()
        return file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoint: Path) -> Machine:
    monkeypatch.setattr(contest, "_DISTURBED", float("inf"))  # its clock is not the machine's
    return Machine(monkeypatch, tmp_path, checkpoint)


@pytest.mark.parametrize(("pace", "winner"), [(0.5e-4, OTHER), (2e-4, EXACT), (0.99e-4, EXACT)])
def test_the_fastest_way_stays_and_the_exact_one_where_it_is_as_fast(
    machine: Machine, pace: float, winner: Way
) -> None:
    machine.paces[OTHER] = pace
    started = machine.start()
    told = started.describe()
    assert told["way"] == str(winner)
    assert told["raced"] == "now"
    assert told["ms_for_1000_tokens"] == {"onnx float32": 100.0, "onnx int8": pytest.approx(1e6 * pace)}
    assert told["tokens_per_second"] == pytest.approx(1 / machine.paces[winner], rel=0.01)
    assert machine.built == [EXACT, OTHER]


def test_the_next_start_builds_the_winner_alone(machine: Machine) -> None:
    machine.paces[OTHER] = 0.5e-4
    first = machine.start()
    spent = machine.now[0]
    again = machine.start()
    assert machine.built == [OTHER]
    assert machine.now[0] - spent < 0.1 * spent
    assert again.record == first.record
    assert again.speeds == first.speeds == [first.record.tokens_per_second]
    assert again.backends[0].budget == first.backends[0].budget
    assert again.describe()["raced"] == "before"


def test_other_settings_race_anew(machine: Machine) -> None:
    machine.start()
    for settings in ({"threads": 2}, {"token_budget": 512}):
        machine.start(**settings)
        assert machine.built == [EXACT, OTHER]


def test_a_winner_that_does_not_work_any_more_has_the_ways_race_anew(machine: Machine) -> None:
    machine.paces[OTHER] = 0.5e-4
    machine.start()
    machine.broken[OTHER] = RuntimeError("the library was removed\nfrom here")
    started = machine.start()
    assert started.describe()["way"] == "onnx float32"
    assert started.describe()["out"] == {"onnx int8": "RuntimeError: the library was removed"}


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b'{"fastest": "onnx int8"}'])
def test_a_broken_record_has_the_ways_race_anew(machine: Machine, damage: bytes) -> None:
    first = machine.start()
    machine.record().write_bytes(damage)
    assert machine.start().describe()["raced"] == "now"
    assert laps.read(machine.record()) == first.record


def test_where_nothing_can_be_kept_every_start_races(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "laps").write_text("a file where a folder should be")
    for _ in range(2):
        assert machine.start().describe()["raced"] == "now"


def test_a_race_that_others_disturbed_is_run_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "_DISTURBED", 0.0)
    assert machine.start().record.disturbed
    assert machine.start().describe()["raced"] == "now"
    monkeypatch.setattr(contest, "_DISTURBED", float("inf"))
    machine.start()
    assert machine.start().describe()["raced"] == "before"


def test_a_way_that_ranks_otherwise_is_out_however_fast(machine: Machine) -> None:
    machine.paces[OTHER], machine.wrong = 1e-6, {OTHER}
    told = machine.start().describe()
    assert told["way"] == "onnx float32"
    assert told["out"] == {"onnx int8": "it ranks otherwise: Kendall's tau -1.00"}


def test_where_the_first_way_fails_the_next_one_runs(machine: Machine) -> None:
    machine.broken[EXACT] = ModelError("no room for the graph")
    assert machine.start().describe()["way"] == "onnx int8"


def test_where_every_way_fails_the_first_one_s_problem_is_told(machine: Machine) -> None:
    machine.broken = {EXACT: ModelError("no room for the graph"), OTHER: RuntimeError("nor for this one")}
    with pytest.raises(ModelError, match="no room for the graph"):
        machine.start()


@pytest.mark.parametrize("seconds_a_token", [1e-5, 1e-3, 1.0])
def test_a_slow_model_races_on_fewer_tokens(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, seconds_a_token: float
) -> None:
    monkeypatch.setattr("sidecar.scoring.local.contest.time.process_time", lambda: machine.now[0])
    monkeypatch.setattr(contest, "warm_up", lambda *_: 1.0)
    machine.paces = dict.fromkeys(machine.paces, seconds_a_token)
    machine.start()
    few = 2 * (2 * 64 + 8 * 80 + 64) * seconds_a_token  # so slow that even a few pairs take longer
    assert machine.now[0] <= max(3.1, few)


_BOTH = """
import sys
from pathlib import Path
from sidecar.scoring.local import cpu
cpu.cpu_flags = lambda *_: frozenset(sys.argv[3].split())
from sidecar.config.model import Engine
from sidecar.scoring.local.contest import start
from sidecar.scoring.local.tokenization import PairTokenizer, load_tokenizer
from sidecar.scoring.models.files import find
files = find(sys.argv[1])
tokenizer = PairTokenizer(load_tokenizer(files.directory), 128)
started = start(files, Engine(cache_dir=sys.argv[2], threads=1, device="cpu"), tokenizer, 128)
print("torch" in sys.modules, sorted({*started.record.speeds, *started.record.out}))
"""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx2 avx512_bf16", "False ['onnx float32']"),
        ("avx2 avx512_bf16 amx_bf16", "True ['onnx float32', 'torch bfloat16']"),
    ],
)
def test_torch_is_imported_where_the_processor_gives_it_a_chance(
    flags: str, expected: str, checkpoint: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", _BOTH, str(checkpoint), str(tmp_path), flags]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == expected


def test_real_ways_race_and_agree(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = (EXACT, Way("torch", "float32"))
    monkeypatch.setattr(contest, "ways", lambda *_: Ways(tried, "both are installed"))
    files = find(str(checkpoint))
    tokenizer = PairTokenizer(load_tokenizer(files.directory), 128)
    started = start(files, Engine(cache_dir=str(tmp_path), threads=1), tokenizer, 128)
    assert set(started.record.speeds) == {"onnx float32", "torch float32"}
    assert started.record.out == {}
    assert all(np.isfinite(speed) and speed > 0 for speed in started.record.speeds.values())
