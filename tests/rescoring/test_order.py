"""The order of a window and its scores."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.rescoring.order import ranked, sigmoid, tail

REPLACE, RRF, LINEAR = Fusion(), Fusion(method="rrf"), Fusion(method="linear", weight=0.5)
Z_SCORE = Fusion(method="linear", weight=1.0, normalize="z_score")
LARGE = 2.0**100
LOGITS = st.floats(-LARGE, LARGE, width=32)


def test_the_model_replaces_and_ties_keep_elasticsearchs_order() -> None:
    found = ranked([9.0, 8.0, 7.0, 6.0], [0.0, 2.0, 0.0, -2.0], REPLACE)
    assert found.positions == (1, 0, 2, 3)
    assert found.scores == pytest.approx((0.880797, 0.5, 0.5, 0.119203))


def test_logits_order_what_a_sigmoid_cannot_tell_apart() -> None:
    found = ranked([3.0, 2.0, 1.0], [100.0, 300.0, 200.0], REPLACE)
    assert found.positions == (1, 2, 0)
    assert found.scores == (1.0, 1.0, 1.0)


def test_reciprocal_rank_fusion() -> None:
    found = ranked([3.0, 2.0, 1.0], [-1.0, 0.0, 1.0], RRF)
    assert found.positions == (0, 2, 1)
    assert found.scores == pytest.approx((1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 2 / 62))


def test_linear_fusion() -> None:
    found = ranked([10.0, 5.0, 0.0], [0.0, 1.0, 2.0], LINEAR)
    assert found.positions == (0, 1, 2)
    assert found.scores == (0.5, 0.5, 0.5)
    shifted = ranked([None, 1.0], [-1.0, 1.0], Z_SCORE)
    assert (shifted.positions, shifted.scores) == ((1, 0), (2.0, 0.0))


def test_equal_values_have_no_scale() -> None:
    assert ranked([1.0, 1.0], [5.0, 5.0], LINEAR).scores == (0.5, 0.5)
    assert ranked([1.0, 1.0], [5.0, 5.0], Z_SCORE).scores == (0.0, 0.0)


@pytest.mark.parametrize("logits", [[1.0], [1.0, math.nan], [1.0, math.inf], [-math.inf, 0.0], [1.0, 2.0, 3.0]])
def test_unusable_scores_are_refused(logits: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        ranked([2.0, 1.0], logits, REPLACE)


@given(
    st.lists(st.tuples(st.none() | st.floats(0, LARGE, width=32), LOGITS), max_size=30),
    st.sampled_from([REPLACE, RRF, LINEAR, Z_SCORE]),
)
def test_any_window_is_permuted_and_its_scores_fall(pairs: list[tuple[float | None, float]], fusion: Fusion) -> None:
    found = ranked([first for first, _ in pairs], [logit for _, logit in pairs], fusion)
    assert sorted(found.positions) == list(range(len(pairs)))
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert all(score >= 0 and math.isfinite(score) for score in found.scores)


@given(st.lists(st.none() | st.floats(-LARGE, LARGE), max_size=30), st.floats(0, 1))
def test_the_tail_never_rises_above_the_window(first: list[float | None], lowest: float) -> None:
    found = tail(first, lowest)
    assert found == sorted(found, reverse=True)
    assert all(0 <= score <= lowest for score in found)


@given(st.floats(allow_nan=False))
def test_the_sigmoid_never_overflows(logit: float) -> None:
    assert 0 <= sigmoid(logit) <= 1
