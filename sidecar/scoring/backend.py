"""What runs a model: the protocol that torch, ONNX Runtime and others implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sidecar.scoring.tokenization import EncodedPair


class Backend(Protocol):
    """A loaded model. Called from one thread at a time."""

    def logits(self, pairs: Sequence[EncodedPair]) -> npt.NDArray[np.float32]:
        """Run the model: `(pairs, labels)` fp32 logits. A pair's logits do not depend on its neighbours."""
        ...

    def token_budget(self) -> int:
        """Give how many tokens of padded input make a good batch on this device."""
        ...

    def describe(self) -> dict[str, Any]:
        """Say what was chosen, and why."""
        ...


def padded(pairs: Sequence[EncodedPair], pad: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Give `(pairs, longest)` int64 ids, type ids and attention mask."""
    shape = (len(pairs), max(map(len, pairs)))
    ids, types, mask = np.full(shape, pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair)], types[row, : len(pair)], mask[row, : len(pair)] = pair.ids, pair.type_ids, 1
    return ids, types, mask
