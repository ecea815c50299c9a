"""Which waiting pairs form the next batch. Pure: the loop that runs batches is the scheduler's.

What requests must have is served first, oldest deadline first, since it was promised. Then come the pairs that they
would like to have: first those of the caller who got least so far, and of its requests the one that got least. The
batch starts with the first request's longest pairs and is filled with pairs of like length, its own first, then
others', under a token budget that counts padding. Background work waits until nothing else does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import neg


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request's pairs that wait: ``lengths`` are their tokens, longest first.

    ``got`` is what its caller and it have had so far, once all that it must have is under way; None before. ``room``
    is how many tokens can be run before it is late.
    """

    deadline: float
    arrival: int
    lengths: Sequence[int]
    background: bool = False
    got: tuple[float, int] | None = None
    room: float = math.inf


@dataclass(frozen=True, slots=True)
class Part:
    """Pairs ``start`` to ``end`` of those of one request that wait."""

    request: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The parts of a batch; ``tokens`` counts padding."""

    parts: tuple[Part, ...]
    tokens: int


def next_batch(waiting: Sequence[Waiting], budget: int) -> Batch:
    """Form the next batch.

    Args:
        waiting: the requests, none expired; those without pairs are ignored.
        budget: tokens in a batch, padding counted; a single longer pair still goes alone.
    """
    order = sorted((i for i, request in enumerate(waiting) if request.lengths), key=lambda i: _urgency(waiting[i]))
    order = [i for i in order if not waiting[i].background] or order
    if not order:
        return Batch((), 0)
    longest = waiting[order[0]].lengths[0]
    budget = int(min(budget, waiting[order[0]].room))
    room = most = max(1, budget // longest)
    parts: list[Part] = []
    for request in [order[0], *(other for other in order[1:] if waiting[other].room >= budget)]:
        lengths = waiting[request].lengths
        start = bisect_left(lengths, -longest, key=neg)  # longer pairs would pad all the others
        end = min(len(lengths), start + room)
        if waiting[request].got is not None and request != order[0] and (start, end) != (0, len(lengths)):
            continue  # of pairs in the order of their worth, some without the others might be in vain
        if end > start:
            parts.append(Part(request, start, end))
            room -= end - start
        if room == 0:
            break
    return Batch(tuple(parts), longest * (most - room))


def _urgency(request: Waiting) -> tuple[bool, bool, tuple[float, int], float, int]:
    spare = request.got is not None
    return (request.background, spare, request.got or (0.0, 0), request.deadline, request.arrival)
