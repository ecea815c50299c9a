"""Statistics against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sidecar.evaluation.measuring.statistics import Statistics, holm


def test_a_comparison_of_four_queries() -> None:
    found = Statistics(4, seed=0).compare([0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.5, 0.9])
    assert found.difference.mean == pytest.approx(0.225)
    assert (found.wins, found.losses, found.ties) == (3, 0, 1)
    # Differences 0.2, 0, 0.2, 0.5: of the 16 flips of signs, 4 keep the sum at 0.9 or -0.9.
    assert found.randomization == pytest.approx(4 / 16)
    # t = 0.225 / (0.206155 / 2) = 2.182821 with 3 degrees of freedom
    assert found.t_test == pytest.approx(0.117039, abs=1e-6)
    assert found.difference.low == pytest.approx(0.05, abs=0.051)
    assert found.difference.high == pytest.approx(0.425, abs=0.051)


def test_drawn_flips_agree_with_scipy() -> None:
    rng = np.random.default_rng(7)
    before = rng.random(60)
    after = before + rng.normal(0.02, 0.1, 60)
    found = Statistics(60, seed=1).compare(list(before), list(after))
    theirs = stats.permutation_test(
        (after - before,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(2)
    )
    assert found.randomization == pytest.approx(theirs.pvalue, abs=0.02)
    assert found.t_test == pytest.approx(stats.ttest_rel(after, before).pvalue)


def test_the_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 200)
    found = Statistics(200, seed=0).estimate(values)
    half = 1.96 * values.std() / 200**0.5
    assert found.low == pytest.approx(values.mean() - half, abs=0.002)
    assert found.high == pytest.approx(values.mean() + half, abs=0.002)


def test_the_seed_decides() -> None:
    values = [0.0, 0.1, 0.4, 0.5, 0.9] * 4
    assert Statistics(20, seed=5).estimate(values) == Statistics(20, seed=5).estimate(values)
    assert Statistics(20, seed=5).estimate(values) != Statistics(20, seed=6).estimate(values)


def test_where_nothing_differs() -> None:
    found = Statistics(3, seed=0).compare([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (found.t_test, found.randomization, found.ties) == (1.0, 1.0, 3)
    assert (found.difference.low, found.difference.high) == (0.0, 0.0)


def test_one_query_tells_nothing_of_the_spread() -> None:
    found = Statistics(1, seed=0).compare([0.1], [0.3])
    assert (found.difference.low, found.t_test, found.randomization) == (None, 1.0, 1.0)


def test_holm() -> None:
    # Smallest first: 0.01 * 3, then 0.03 * 2, then the larger of 0.04 * 1 and what came before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
