"""Pairs to warm up and to measure with: the model's own first tokens, in lengths like those of search hits."""

from __future__ import annotations

import itertools

import numpy as np

from sidecar.scoring.tokenization import EncodedPair

_LENGTHS = (64, 48, 80, 56, 96, 40, 72, 68)
_FIRST_ID, _IDS = 5, 32  # past the padding ids, within every vocabulary


def sample_pairs(tokens: int, longest: int) -> list[EncodedPair]:
    """Give pairs of about so many tokens in all, 64 in the mean or ``longest`` at most, no two the same."""
    pairs: list[EncodedPair] = []
    count = max(1, tokens // min(64, longest))
    for number, length in enumerate(itertools.islice(itertools.cycle(_LENGTHS), count)):
        length = min(length, longest)
        ids = np.random.default_rng(number).integers(_FIRST_ID, _IDS, length, dtype=np.int32)
        pairs.append(EncodedPair(ids, np.zeros(length, np.int32), number.to_bytes(4, "big")))
    return pairs
