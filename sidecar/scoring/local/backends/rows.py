"""A batch as rows: the tokens of all pairs one after the other, without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.scoring.local.tokenization import EncodedPair

Numbers = npt.NDArray[np.int64]
_COUNT_FROM_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch's tokens, longest pair first.

    ``ids``, ``types`` and ``positions`` are `(rows,)`; ``lengths`` and ``starts``, each pair's tokens and first row,
    are `(pairs,)`; ``order[i]`` is the place that pair i had in what was given.
    """

    ids: Numbers
    types: Numbers
    positions: Numbers
    lengths: Numbers
    starts: Numbers
    order: Numbers

    @property
    def back(self) -> Numbers:
        """Return `(pairs,)` where each pair that was given stands here."""
        back = np.empty_like(self.order)
        back[self.order] = np.arange(len(self.order))
        return back


def first_position(settings: Mapping[str, Any]) -> int:
    """Return the position id of a first token by config.json: RoBERTa and its kin count from after their padding id."""
    return int(settings.get("pad_token_id", 1)) + 1 if settings.get("model_type") in _COUNT_FROM_PADDING else 0


def pack(pairs: Sequence[EncodedPair], first_position: int) -> Rows:
    """Put pairs one after the other; positions count from ``first_position`` in each."""
    given = np.array([len(pair) for pair in pairs], dtype=np.int64)
    order = np.argsort(-given, kind="stable")
    lengths = given[order]
    starts = np.cumsum(lengths) - lengths
    return Rows(
        ids=np.concatenate([pairs[i].ids for i in order]).astype(np.int64),
        types=np.concatenate([pairs[i].type_ids for i in order]).astype(np.int64),
        positions=np.arange(int(lengths.sum())) - np.repeat(starts, lengths) + first_position,
        lengths=lengths,
        starts=starts,
        order=order,
    )
