"""Which waiting pairs form the next batch. Pure: the loop that runs batches is the scheduler's.

Requests are served oldest deadline first; the batch starts with that request's longest pairs and is filled
with pairs of like length, its own first, then others', under a token budget that counts padding. Every batch
holds a pair of the most urgent request, so nobody starves. Background work waits until nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request's pairs that wait: ``lengths[i]`` are the tokens of its i-th waiting pair."""

    deadline: float
    arrival: int
    lengths: tuple[int, ...]
    background: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """``members`` are (request index, pair index); ``tokens`` counts padding."""

    members: tuple[tuple[int, int], ...]
    tokens: int


def next_batch(waiting: Sequence[Waiting], budget: int) -> Batch:
    """Form the next batch.

    Args:
        waiting: the requests, none expired; those without pairs are ignored.
        budget: tokens in a batch, padding counted; a single longer pair still goes alone.
    """
    order = sorted(range(len(waiting)), key=lambda i: _urgency(waiting[i]))
    foreground = [i for i in order if waiting[i].lengths and not waiting[i].background]
    order = foreground or [i for i in order if waiting[i].lengths]
    if not order:
        return Batch((), 0)
    longest = max(waiting[order[0]].lengths)
    members: list[tuple[int, int]] = []
    for request in order:
        room = max(1, budget // longest) - len(members)
        if room <= 0:
            break
        members += [(request, pair) for pair in _fitting(waiting[request].lengths, longest)[:room]]
    return Batch(tuple(members), longest * len(members))


def _urgency(request: Waiting) -> tuple[bool, float, int]:
    return (request.background, request.deadline, request.arrival)


def _fitting(lengths: Sequence[int], longest: int) -> list[int]:
    """Give the pairs that fit under ``longest``, longest first: those waste the least padding."""
    return sorted((i for i, length in enumerate(lengths) if length <= longest), key=lambda i: -lengths[i])
