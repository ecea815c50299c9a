"""What runs a model on one device: the protocol that torch and ONNX Runtime implement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sidecar.scoring.local.tokenization import EncodedPair

FINE_GRID = 2.0**-14
Logits = npt.NDArray[np.float32]
Pending = Callable[[], Logits]
"""Waits for a batch that was started and gives its `(pairs, labels)` fp32 logits."""


class Backend(Protocol):
    """A loaded model. Called from one thread at a time.

    ``labels`` is the width of its head, ``budget`` is how many tokens of padded input make a good batch, ``budgets``
    are the sizes to try for it, and ``depth`` is how many batches may be started before the first is waited for.
    ``grid`` is what scores are rounded to: a power of two well above what a batch's composition changes in a logit.
    """

    labels: int
    budget: int
    budgets: Sequence[int]
    depth: int
    grid: float

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        """Start a batch. A pair's logits do not depend on its neighbours by more than a fraction of ``grid``.

        Raises:
            BackendFailed: the model raised; so may the pending result.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Say what was chosen, and why."""
        ...

    def stats(self) -> dict[str, float]:
        """Return counters; names end in `_total`."""
        ...


def padded(pairs: Sequence[EncodedPair], pad: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return `(pairs, longest)` int64 ids, type ids and attention mask."""
    shape = (len(pairs), max(map(len, pairs)))
    ids, types, mask = np.full(shape, pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair)], types[row, : len(pair)], mask[row, : len(pair)] = pair.ids, pair.type_ids, 1
    return ids, types, mask
