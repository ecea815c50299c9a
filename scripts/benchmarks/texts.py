"""Passages and queries of MS MARCO-like lengths, drawn from a seeded Zipf vocabulary: made up, or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


class Texts:
    """Draws texts; the same seed gives the same texts. ``words`` come most frequent first."""

    def __init__(self, seed: int = 7, vocabulary: int = 20_000, words: Sequence[str] | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._words = np.array([self._word() for _ in range(vocabulary)] if words is None else words)
        weights = 1 / np.arange(10, len(self._words) + 10)
        self._weights = weights / weights.sum()

    def _word(self) -> str:
        return "".join(self._random.choice(_SYLLABLES, self._random.integers(1, 4)))

    def words(self, count: int) -> str:
        """Return so many words."""
        return " ".join(self._random.choice(self._words, count, p=self._weights))

    def passage(self, mean: float = 56.0, spread: float = 0.5, longest: int = 400) -> str:
        """Return a passage whose length in words is log-normal about ``mean``."""
        count = self._random.lognormal(np.log(mean) - spread**2 / 2, spread)
        return self.words(max(5, min(int(count), longest)))

    def document(self) -> dict[str, Any]:
        """Return a document with a passage."""
        return {"text": self.passage()}
