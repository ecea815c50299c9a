"""How a model's logits become one relevance score, and what its configuration says of its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sidecar.errors import ModelError

Head = Literal["one_logit", "two_logits"]


def relevance(logits: npt.NDArray[np.float32], head: Head) -> npt.NDArray[np.float32]:
    """Return `(pairs,)` relevance from `(pairs, labels)` logits.

    One logit is the relevance: never through a softmax, which would make it 1 for every pair. Two logits:
    the difference of label 1 and label 0, which orders as P(label 1) does.
    """
    if head == "one_logit":
        return logits[:, 0]
    return logits[:, 1] - logits[:, 0]


def on_grid(scores: npt.NDArray[np.float32], grid: float) -> npt.NDArray[np.float32]:
    """Round scores to multiples of ``grid``, a power of two: what a batch's other pairs change is below it."""
    rounded: npt.NDArray[np.float32] = np.round(scores / np.float32(grid)) * np.float32(grid)
    return rounded


def head_of(labels: int, wanted: str) -> Head:
    """Return the head for a classifier of ``labels`` outputs.

    Raises:
        ModelError: the model is no cross-encoder that ranks, or the head asked for does not fit it.
    """
    kinds: dict[int, Head] = {1: "one_logit", 2: "two_logits"}
    if labels not in kinds:
        raise ModelError(f"the model has {labels} labels; a cross-encoder that ranks has one logit or two")
    if wanted != "auto" and wanted != kinds[labels]:
        raise ModelError(f"engine.head is {wanted}, but the model has {labels} label(s): use `auto`")
    return kinds[labels]


def declared_labels(config: Mapping[str, Any]) -> int | None:
    """Return the number of labels that config.json declares, or None; `id2label` comes first, as in transformers."""
    if isinstance(config.get("id2label"), dict):
        return len(config["id2label"])
    labels = config.get("num_labels")
    return labels if isinstance(labels, int) else None
