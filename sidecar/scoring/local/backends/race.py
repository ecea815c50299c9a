"""Which way to run a model is fastest on the device at hand, batch size by batch size: tried, compared, timed.

A way that fails, or whose scores differ from the first one's, is out, and the reason is told. Pure but for running
what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Sample = TypeVar("Sample")
Logits = npt.NDArray[np.float32]
_TIMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """How one size went: the fastest way, all ways' seconds, and why some are out."""

    fastest: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    out: Mapping[str, str] = field(default_factory=dict)


def race(
    ways: Mapping[str, Callable[[Sample], Logits]],
    sample: Sample,
    tolerance: float,
    clock: Callable[[], float],
) -> Lap:
    """Run every way on a sample; the first is the reference, and its failure is raised.

    Args:
        ways: give logits, computed, for a sample.
        sample: a batch.
        tolerance: how far a logit may be from the reference's, of the reference's spread.
        clock: seconds.
    """
    reference: Logits | None = None
    seconds: dict[str, float] = {}
    out: dict[str, str] = {}
    for name, way in ways.items():
        try:
            found = way(sample)
        except Exception as problem:
            if reference is None:
                raise
            out[name] = f"{type(problem).__name__}: {problem}".splitlines()[0]
            continue
        reference = found if reference is None else reference
        if not agrees(found, reference, tolerance):
            out[name] = "its scores differ"
            continue
        seconds[name] = min(_timed(way, sample, clock) for _ in range(_TIMES))
    return Lap(fastest=min(seconds, key=seconds.__getitem__), seconds=seconds, out=out)


def agrees(found: Logits, reference: Logits, tolerance: float) -> bool:
    """Return whether logits are the reference's but for rounding."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return False
    allowed = tolerance * max(1.0, float(np.ptp(reference)))
    return bool(np.abs(found - reference).max(initial=0.0) <= allowed)


def _timed(way: Callable[[Sample], Logits], sample: Sample, clock: Callable[[], float]) -> float:
    started = clock()
    way(sample)
    return clock() - started


def choice(laps: Sequence[tuple[int, Lap]], tokens: int) -> str:
    """Return the way for a batch of so many tokens: that of the next larger size raced, or of the largest."""
    return next((lap.fastest for size, lap in laps if size >= tokens), laps[-1][1].fastest)
