"""How sure a difference is: paired tests, bootstrap intervals, wins and losses. Pure; the seed is passed in.

Source: Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information Retrieval
Evaluation", CIKM 2007, for the tests; Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

RESAMPLES: Final = 10_000
_SAME: Final = 1e-9  # differences below are ties: values are sums of a few quotients

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries with its 95 % bootstrap interval; no interval for fewer than two queries."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A system against a baseline over the same queries. p-values are two-sided."""

    difference: Estimate
    t_test: float
    randomization: float
    wins: int
    losses: int
    ties: int


def estimate(values: Sequence[float], seed: int) -> Estimate:
    """Give the mean of ``(queries,)`` values and its percentile bootstrap interval."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Estimate(float(array.mean()), None, None)
    rng = np.random.default_rng(seed)
    found = stats.bootstrap(
        (array,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=1000, random_state=rng
    ).confidence_interval
    return Estimate(float(array.mean()), float(found.low), float(found.high))


def compare(baseline: Sequence[float], system: Sequence[float], seed: int) -> Comparison:
    """Compare ``(queries,)`` values of two systems, query by query."""
    differences = np.asarray(system, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return Comparison(
        difference=estimate(list(differences), seed),
        t_test=_t_test(differences),
        randomization=_randomization(differences, seed),
        wins=int((differences > _SAME).sum()),
        losses=int((differences < -_SAME).sum()),
        ties=int((np.abs(differences) <= _SAME).sum()),
    )


def _t_test(differences: Floats) -> float:
    """Give the paired t-test's p; 1 where nothing differs, and where one query says nothing of the spread."""
    if len(differences) < 2 or np.ptp(differences) < _SAME:
        return 1.0 if len(differences) < 2 or abs(differences[0]) < _SAME else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _randomization(differences: Floats, seed: int) -> float:
    """Give the paired randomization test's p: how often random signs give a mean as far from zero."""
    if len(differences) < 2:
        return 1.0
    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        batch=1000,
        vectorized=True,
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm-Bonferroni), in the order given."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = highest
    return adjusted
