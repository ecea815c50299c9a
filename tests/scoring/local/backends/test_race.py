"""Which way to run a model wins, and which are out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sidecar.scoring.local.backend import Logits
from sidecar.scoring.local.backends.race import Lap, agrees, choice, race

RIGHT = np.array([[1.0], [3.0]], np.float32)


class Clock:
    """Moved on by the ways themselves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def way(clock: Clock, seconds: Sequence[float], logits: Logits = RIGHT) -> Callable[[str], Logits]:
    """Return a way that takes so long each time it runs; its first run is not timed."""
    left = list(seconds)

    def run(sample: str) -> Logits:
        clock.now += left.pop(0)
        return logits

    return run


def test_the_fastest_of_three_timed_runs_wins() -> None:
    clock = Clock()
    ways = {"padded": way(clock, [9, 3, 3, 3]), "graphs": way(clock, [90, 5, 2, 5])}
    lap = race(ways, "a batch", 0.01, clock)
    assert lap == Lap(fastest="graphs", seconds={"padded": 3.0, "graphs": 2.0})


def test_a_way_that_fails_or_differs_is_out_and_says_why() -> None:
    clock = Clock()

    def broken(sample: str) -> Logits:
        raise RuntimeError("no kernel image\nfor this device")

    wrong = way(clock, [0] * 9, RIGHT + np.float32(0.5))
    lap = race({"padded": way(clock, [3] * 4), "broken": broken, "wrong": wrong}, "a batch", 0.05, clock)
    assert lap.fastest == "padded"
    assert lap.out == {"broken": "RuntimeError: no kernel image", "wrong": "its scores differ"}


def test_without_a_reference_there_is_no_race() -> None:
    def broken(sample: str) -> Logits:
        raise RuntimeError("the model is broken")

    with pytest.raises(RuntimeError, match="the model is broken"):
        race({"padded": broken, "other": lambda sample: RIGHT}, "a batch", 0.05, Clock())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([[1.09], [3.0]], True),  # 5 % of the spread of 2
        ([[1.11], [3.0]], False),
        ([[np.nan], [3.0]], False),
        ([[1.0]], False),
    ],
)
def test_agreement_is_measured_against_the_spread(found: list[list[float]], expected: bool) -> None:
    assert agrees(np.array(found, np.float32), RIGHT, 0.05) is expected


@pytest.mark.parametrize(("tokens", "expected"), [(1, "a"), (512, "a"), (513, "b"), (99_999, "b")])
def test_a_batch_is_run_as_the_next_larger_size_was_won(tokens: int, expected: str) -> None:
    assert choice([(512, Lap(fastest="a")), (4096, Lap(fastest="b"))], tokens) == expected
