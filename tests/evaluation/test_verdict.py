"""The verdict in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.evaluation.evaluate import Evaluation
from sidecar.evaluation.showing.verdict import verdict


def measured(gains: list[float], p: float, systems: int = 2) -> Evaluation:
    """An evaluation of which the verdict reads this much."""
    mean = sum(gains) / len(gains)
    difference = SimpleNamespace(mean=mean, low=mean - 0.02, high=mean + 0.02)
    before = SimpleNamespace(name="elasticsearch", values={"m": {str(i): 0.5 for i in range(len(gains))}})
    after: Any = SimpleNamespace(name="rescored", values={"m": {str(i): 0.5 + gain for i, gain in enumerate(gains)}})
    after.against, after.adjusted = {"m": SimpleNamespace(difference=difference)}, {"m": p}
    found = SimpleNamespace(baseline=before, best=after, measures=["m"], systems=[before, *[after] * (systems - 1)])
    return cast(Evaluation, found)


@pytest.mark.parametrize(
    ("gains", "p", "words"),
    [
        ([0.1, 0.1, -0.3, 0.3], 0.01, "rescored: better by 0.050 m, sure (p 0.010); 95 %"),
        ([0.1, -0.02], 0.4, "better by 0.040 m, not sure: chance alone may do that (p 0.400)"),
        ([-0.1, -0.02], 0.001, "worse by 0.060 m, sure"),
        ([0.1, -0.1], 1.0, "no difference in m; 95 %"),
    ],
)
def test_what_is_said(gains: list[float], p: float, words: str) -> None:
    said = verdict(measured(gains, p))
    assert words in said
    worse = sum(gain < -0.2 for gain in gains)
    assert said.endswith(f" {worse} of {len(gains)} queries got worse by more than 0.2.")


def test_the_best_of_many_is_said_to_be_that() -> None:
    assert "It is the best of 24, which flatters it" in verdict(measured([0.1], 0.01, 25))
