"""Runs a backend before the first search does, and finds how many tokens make its best batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sidecar.scoring.local.backend import Backend
from sidecar.scoring.local.speed import UNKNOWN
from sidecar.scoring.local.tokenization import EncodedPair

_FIRST_TOKENS = 256
_TIMES = 2
_NEARLY = 0.97  # of the best rate: a smaller batch lets the next search in sooner
_PATIENCE = 0.5  # seconds a batch may take before larger ones are not even tried


def warm_up(backend: Backend, budget: int | None, longest: int, clock: Callable[[], float]) -> float:
    """Run the backend and set its ``budget``: the one given, or the best of those it names.

    ``longest`` is how many tokens a pair may have.

    Returns:
        tokens a second in such batches.

    Raises:
        Exception: whatever running the model raises.
    """
    run_first(backend, longest)
    rates = _rates(backend, backend.budgets if budget is None else [budget], longest, clock)
    backend.budget = best_budget(rates) if budget is None else budget
    return rates.get(backend.budget) or max(rates.values()) or UNKNOWN


def run_first(backend: Backend, longest: int) -> None:
    """Run a small batch: the first one sets things up, and takes longer.

    Raises:
        Exception: whatever running the model raises.
    """
    backend.start(sample_pairs(_FIRST_TOKENS, longest))()


def _rates(backend: Backend, budgets: Sequence[int], longest: int, clock: Callable[[], float]) -> dict[int, float]:
    """Return tokens a second for each budget, until batches take too long or no longer fit."""
    rates: dict[int, float] = {}
    for tokens in budgets:
        backend.budget = tokens
        pairs = sample_pairs(tokens, longest)
        seconds = min(timed(backend, pairs, clock) for _ in range(_TIMES))
        if backend.budget != tokens:  # the device ran out of memory
            break
        rates[tokens] = sum(map(len, pairs)) / max(seconds, 1e-9)
        if seconds > _PATIENCE:
            break
    return rates or {backend.budget: 0.0}


def timed(backend: Backend, pairs: list[EncodedPair], clock: Callable[[], float]) -> float:
    """Return the seconds that a batch takes."""
    started = clock()
    backend.start(pairs)()
    return clock() - started


def best_budget(rates: Mapping[int, float]) -> int:
    """Return the smallest budget whose rate is nearly the best one's."""
    best = max(rates.values())
    return min(budget for budget, rate in rates.items() if rate >= _NEARLY * best)


_LENGTHS = (64, 48, 80, 56, 96, 40, 72, 68)
_FIRST_ID, _IDS = 5, 32  # past the padding ids, within every vocabulary


def sample_pairs(tokens: int, longest: int) -> list[EncodedPair]:
    """Return pairs of about so many tokens in all, 64 in the mean or ``longest`` at most, no two the same."""
    pairs: list[EncodedPair] = []
    count = max(1, tokens // min(64, longest))
    for number, length in enumerate(itertools.islice(itertools.cycle(_LENGTHS), count)):
        length = min(length, longest)
        ids = np.random.default_rng(number).integers(_FIRST_ID, _IDS, length, dtype=np.int32)
        pairs.append(EncodedPair(ids, np.zeros(length, np.int32), number.to_bytes(4, "big")))
    return pairs
