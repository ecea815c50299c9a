"""Whether a way to run a model ranks as the exact one does, on sample passages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sidecar.scoring.local.backend import Backend, Logits
from sidecar.scoring.local.samples import PASSAGES, QUERIES
from sidecar.scoring.local.tokenization import EncodedPair, PairTokenizer
from sidecar.scoring.models.heads import head_of, relevance

LEAST_TAU = 0.95
"""What Kendall's tau between a way's ranking and the exact one must reach, in the mean over the samples' queries."""
_FEWEST = 8  # pairs of a list: fewer say little of a ranking


def sample_lists(tokenizer: PairTokenizer, tokens: int) -> list[list[EncodedPair]]:
    """Return each sample query with the sample passages, as much of it as has about so many tokens in all."""
    passages = tokenizer.encode(PASSAGES)
    lists: list[list[EncodedPair]] = []
    for query in tokenizer.encode(QUERIES):
        pairs = tokenizer.join(query, passages)
        kept = sum(so_far <= tokens for so_far in itertools.accumulate(map(len, pairs)))
        if kept < _FEWEST and lists:
            break
        lists.append(pairs[: max(_FEWEST, kept)])
        tokens -= sum(map(len, lists[-1]))
    return lists


def scores(backend: Backend, lists: Sequence[Sequence[EncodedPair]]) -> list[Logits]:
    """Return the relevance of each list's pairs."""
    head = head_of(backend.labels, "auto")
    return [relevance(backend.start(pairs)(), head) for pairs in lists]


def agreement(found: Sequence[Logits], exact: Sequence[Logits]) -> float:
    """Return the mean of Kendall's tau over lists; scores that are not finite agree with nothing."""
    return float(np.mean([_tau(ours, theirs) for ours, theirs in zip(found, exact, strict=True)]))


def _tau(found: Logits, exact: Logits) -> float:
    if not np.isfinite(found).all():
        return -1.0
    upper = np.triu_indices(len(exact), 1)
    orders = [np.sign(scores[:, None] - scores)[upper] for scores in (found, exact)]
    return float(np.mean(orders[0] == orders[1])) * 2 - 1
