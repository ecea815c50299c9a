"""The engine benchmark's own judgement: whose scores count as the same, and what the pairs look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.engine_contenders import disagreement
from benchmarks.engine_measures import mean_tokens
from benchmarks.engine_models import SHAPES, checkpoint, requests

SCORES = np.linspace(-2, 2, 100, dtype=np.float32)


def test_a_contender_in_fp32_must_agree_and_others_rank_alike() -> None:
    assert disagreement(SCORES, SCORES + np.float32(5e-4), exact=True) is None
    assert disagreement(SCORES, SCORES + np.float32(2e-3), exact=True) == "differs by 0.002"
    assert disagreement(SCORES, SCORES * 1.1 + np.float32(0.2), exact=False) is None
    assert disagreement(SCORES, SCORES[::-1].copy(), exact=False) == "correlates by -1.000 only"


@pytest.mark.parametrize(("long", "expected"), [(False, pytest.approx(68, abs=3)), (True, 512)])
def test_pairs_are_as_long_as_said(tmp_path: Path, long: bool, expected: object) -> None:
    directory = checkpoint(SHAPES["L2"], tmp_path)
    assert mean_tokens(directory, requests(5, long=long)) == expected
