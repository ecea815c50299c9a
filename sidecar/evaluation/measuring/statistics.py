"""How sure a difference is: paired tests, bootstrap intervals, wins and losses. Pure; the seed is passed in.

Sources: Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information Retrieval
Evaluation", CIKM 2007, for the tests; Sakai, "Evaluating Evaluation Metrics Based on the Bootstrap", SIGIR 2006;
Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

RESAMPLES: Final = 10_000
_SLAB: Final = 500  # resamples in double precision at a time
_SAME: Final = 1e-9  # smaller differences are ties: values are sums of a few quotients

Floats = npt.NDArray[np.float64]
Resamples = npt.NDArray[np.int8]


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


class Statistics:
    """The statistics of ``queries`` queries. Resamples are drawn once, so that all systems see the same ones."""

    def __init__(self, queries: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._queries = queries
        even = [1 / queries] * queries
        self._samples = _drawn(lambda count: rng.multinomial(queries, even, size=count))
        self._exact = 2**queries <= RESAMPLES
        self._signs = (
            _all_signs(queries) if self._exact else _drawn(lambda count: rng.integers(0, 2, (count, queries)) * 2 - 1)
        )

    def estimate(self, values: Sequence[float] | Floats) -> Estimate:
        """Return the mean of ``(queries,)`` values and its percentile bootstrap interval."""
        array = np.asarray(values, dtype=np.float64)
        if self._queries < 2:
            return Estimate(float(array.mean()), None, None)
        low, high = np.percentile(self._means(self._samples, array), [2.5, 97.5])
        return Estimate(float(array.mean()), float(low), float(high))

    def compare(self, baseline: Sequence[float], system: Sequence[float]) -> Comparison:
        """Compare ``(queries,)`` values of two systems, query by query."""
        differences = np.asarray(system, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
        return Comparison(
            difference=self.estimate(differences),
            t_test=_t_test(differences),
            randomization=self._randomization(differences),
            wins=int((differences > _SAME).sum()),
            losses=int((differences < -_SAME).sum()),
            ties=int((np.abs(differences) <= _SAME).sum()),
        )

    def _randomization(self, differences: Floats) -> float:
        """Return the share of sign flips whose mean is as far from zero: of all, or of those drawn and our own."""
        means = np.abs(self._means(self._signs, differences))
        extreme = int((means >= abs(differences.mean()) - _SAME).sum())
        return extreme / len(means) if self._exact else (extreme + 1) / (len(means) + 1)

    def _means(self, resamples: Resamples, values: Floats) -> Floats:
        slabs = (resamples[start : start + _SLAB] for start in range(0, len(resamples), _SLAB))
        return np.concatenate([slab.astype(np.float64) @ values for slab in slabs]) / self._queries


def _drawn(draw: Callable[[int], npt.NDArray[np.int64]]) -> Resamples:
    return np.concatenate([draw(_SLAB).astype(np.int8) for _ in range(RESAMPLES // _SLAB)])


def _all_signs(queries: int) -> Resamples:
    bits = np.arange(2**queries)[:, None] >> np.arange(queries) & 1
    return (bits * 2 - 1).astype(np.int8)


def _t_test(differences: Floats) -> float:
    """Return the paired t-test's p. Where all differences are the same there is no spread to test against."""
    if len(differences) < 2 or np.ptp(differences) < _SAME:
        return 1.0 if len(differences) < 2 or abs(differences[0]) < _SAME else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm-Bonferroni), in the order given."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = highest
    return adjusted
