"""Whether two ways to run a model rank the sample passages alike."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.scoring.local.agreement import agreement, sample_lists
from sidecar.scoring.local.samples import PASSAGES, QUERIES
from sidecar.scoring.local.tokenization import PairTokenizer
from tests.checkpoints import vocabulary, wordpiece

EXACT = np.array([4.0, 3.0, 2.0, 1.0], np.float32)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([4.0, 3.0, 2.0, 1.0], 1.0),
        ([40.0, 3.5, 2.0, -1.0], 1.0),  # the order counts
        ([1.0, 2.0, 3.0, 4.0], -1.0),
        ([3.0, 4.0, 2.0, 1.0], 2 / 3),  # one of six pairs
        ([1.0, 1.0, 1.0, 1.0], -1.0),  # what ties everything ranks nothing
        ([np.nan, 3.0, 2.0, 1.0], -1.0),
    ],
)
def test_tau(found: list[float], expected: float) -> None:
    assert agreement([np.array(found, np.float32)], [EXACT]) == pytest.approx(expected)


def test_lists_are_weighed_alike() -> None:
    assert agreement([EXACT, -EXACT[:2]], [EXACT, EXACT[:2]]) == 0.0


@pytest.mark.parametrize("tokens", [1, 500, 3000, 1 << 20])
def test_the_lists_have_as_many_tokens_as_are_wanted(tokens: int) -> None:
    lists = sample_lists(PairTokenizer(wordpiece(vocabulary()), 512), tokens)
    total = sum(len(pair) for pairs in lists for pair in pairs)
    assert all(8 <= len(pairs) <= len(PASSAGES) for pairs in lists)
    assert total <= max(tokens, 0) + 8 * 80
    assert total >= 0.8 * tokens or len(lists) == len(QUERIES)
