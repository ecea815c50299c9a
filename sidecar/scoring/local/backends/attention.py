"""Attention within the pairs of a batch of rows: by runs of equal length on the CPU, by one kernel on CUDA."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as nnf


class Attention(Protocol):
    """Attends within each pair of one batch."""

    def __call__(self, qkv: torch.Tensor) -> torch.Tensor:
        """Attend from every token: `(rows, 3 * width)` queries, keys and values to `(rows, width)`."""
        ...

    def of_first(self, query: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Attend from first tokens alone: `(pairs, width)` and `(rows, 2 * width)` to `(pairs, width)`."""
        ...


class RunAttention:
    """Attends by runs of pairs of equal length, so that nothing is padded. ``lengths`` must be sorted."""

    def __init__(self, lengths: Sequence[int], heads: int, scale: float) -> None:
        self._runs = [(length, len(list(run))) for length, run in itertools.groupby(lengths)]
        self._heads = heads
        self._scale = scale

    def __call__(self, qkv: torch.Tensor) -> torch.Tensor:
        """Attend from every token."""
        out = qkv.new_empty(qkv.shape[0], qkv.shape[1] // 3)
        start = 0
        for length, count in self._runs:
            end = start + count * length
            query, key, value = qkv[start:end].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            found = nnf.scaled_dot_product_attention(query, key, value, scale=self._scale)
            out[start:end].view(count, length, self._heads, -1).copy_(found.transpose(1, 2))
            start = end
        return out

    def of_first(self, query: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Attend from first tokens alone."""
        out = torch.empty_like(query)
        start = pair = 0
        for length, count in self._runs:
            end = start + count * length
            key, value = kv[start:end].view(count, length, 2, self._heads, -1).permute(2, 0, 3, 1, 4)
            first = query[pair : pair + count].view(count, self._heads, 1, -1)
            found = nnf.scaled_dot_product_attention(first, key, value, scale=self._scale)
            out[pair : pair + count].view(count, self._heads, 1, -1).copy_(found)
            start, pair = end, pair + count
        return out


class VarlenAttention:
    """Attends with torch's variable-length kernel (FlashAttention), for CUDA.

    Args:
        starts: `(pairs + 1,)` int32, the row at which each pair starts, and the end.
        longest: no pair has more tokens.
        heads: the model's.
        scale: what products of queries and keys are multiplied by.
        counted: `(pairs + 1,)` int32, 0 to pairs.
    """

    def __init__(self, starts: torch.Tensor, longest: int, heads: int, scale: float, counted: torch.Tensor) -> None:
        from torch.nn.attention.varlen import varlen_attn

        self._attend = varlen_attn
        self._starts = starts
        self._longest = longest
        self._heads = heads
        self._scale = scale
        self._counted = counted

    def __call__(self, qkv: torch.Tensor) -> torch.Tensor:
        """Attend from every token."""
        query, key, value = qkv.view(qkv.shape[0], 3, self._heads, -1).unbind(1)
        longest = self._longest
        return _joined(self._attend(query, key, value, self._starts, self._starts, longest, longest, scale=self._scale))

    def of_first(self, query: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Attend from first tokens alone."""
        key, value = kv.view(kv.shape[0], 2, self._heads, -1).unbind(1)
        first = query.view(query.shape[0], self._heads, -1)
        return _joined(
            self._attend(first, key, value, self._counted, self._starts, 1, self._longest, scale=self._scale)
        )


def _joined(found: torch.Tensor | tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    heads = found if isinstance(found, torch.Tensor) else found[0]
    return heads.reshape(heads.shape[0], -1)
