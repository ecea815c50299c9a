"""How many tokens make the best batch of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sidecar.scoring.local.backend import Logits, Pending
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.local.warm_up import best_budget, sample_pairs, warm_up


class Device:
    """Stands in for a device whose speed is known: a batch takes ``seconds_each`` and ``seconds_a_token``."""

    def __init__(self, seconds_each: float, seconds_a_token: float, memory: int = 1 << 30) -> None:
        self.labels = self.depth = 1
        self.grid = 2.0**-12
        self.budget = 0
        self.budgets: Sequence[int] = (1024, 2048, 4096, 8192)
        self.now = 0.0
        self.largest = 0
        self._each, self._token, self._memory = seconds_each, seconds_a_token, memory

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        tokens = sum(map(len, pairs))
        self.largest = max(self.largest, tokens)
        self.now += self._each + self._token * tokens
        if tokens > self._memory:
            self.budget //= 2

        def logits() -> Logits:
            return np.zeros((len(pairs), 1), np.float32)

        return logits

    def describe(self) -> dict[str, Any]:
        return {}

    def stats(self) -> dict[str, float]:
        return {}


def warmed(device: Device, budget: int | None = None) -> int:
    warm_up(device, budget, 512, lambda: device.now)
    return device.budget


def test_the_smallest_budget_that_is_nearly_the_best() -> None:
    assert best_budget({1024: 80.0, 2048: 98.0, 4096: 100.0, 8192: 90.0}) == 2048


def test_a_device_that_starts_slowly_gets_large_batches() -> None:
    assert warmed(Device(0.1, 1e-5)) == 8192


def test_a_device_that_starts_at_once_gets_small_ones() -> None:
    assert warmed(Device(0.0, 1e-5)) == 1024


def test_batches_that_take_long_are_not_tried_any_larger() -> None:
    device = Device(0.0, 1e-3)
    assert warmed(device) == 1024
    assert device.largest < 2048


def test_a_budget_that_did_not_fit_is_not_taken() -> None:
    assert warmed(Device(0.1, 1e-5, memory=3000)) == 2048


def test_a_budget_that_is_set_stands() -> None:
    device = Device(0.1, 1e-5)
    assert warmed(device, 777) == 777
    assert device.largest < 1024


@pytest.mark.parametrize("longest", [8, 512])
def test_sample_pairs_fit_the_model_and_differ(longest: int) -> None:
    pairs = sample_pairs(2048, longest)
    assert all(len(pair) <= longest for pair in pairs)
    assert len({pair.key for pair in pairs}) == len(pairs)
    assert sum(map(len, pairs)) == pytest.approx(2048, rel=0.15)
