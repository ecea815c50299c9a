"""The order of the window and the `_score`s that go with it.

Order is decided on the model's fp32 logits (or the fused score), never on what `_score` prints: a sigmoid
saturates, logits don't. Ties keep Elasticsearch's order. Two orders are compared for shadow mode and log replay.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from sidecar.config.fusion import Fusion
from sidecar.rescoring.sure import sure
from sidecar.rescoring.values import Hit


@dataclass(frozen=True, slots=True)
class Ranked:
    """A window in its new order: first-stage positions, and the `_score` of each, non-increasing, >= 0."""

    positions: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at one place of a permuted window: a first-stage position, its `_score` and its logit, if any."""

    position: int
    score: float
    logit: float | None


def rank(hits: Sequence[Hit], logits: Sequence[float], fusion: Fusion, query: str) -> list[int]:
    """Return the first-stage positions in the final order."""
    return [place.position for place in permuted(hits, logits, fusion, query)]


def permuted(hits: Sequence[Hit], logits: Sequence[float], fusion: Fusion, query: str) -> list[Place]:
    """Permute the hits that have text among their places; the others keep theirs, and get the score above them.

    Args:
        hits: the window, in Elasticsearch's order.
        logits: the model's fp32 logits of the hits with text.
        fusion: how first-stage scores and logits become one.
        query: what was searched.

    Raises:
        ValueError: the counts differ, or a logit is not finite.
    """
    with_text = [i for i, hit in enumerate(hits) if hit.text.strip()]
    first = [hits[i].score for i in with_text]
    kept = sure(query, [hits[i].text for i in with_text], first) if fusion.keep_sure else frozenset[int]()
    result = ranked(first, logits, fusion, kept)
    order = iter(zip(result.positions, result.scores, strict=True))
    above = max(result.scores, default=0.0)
    places = []
    for i, hit in enumerate(hits):
        if not hit.text.strip():
            places.append(Place(i, above, None))
            continue
        at, above = next(order)
        places.append(Place(with_text[at], above, logits[at]))
    return places


def ranked(
    first: Sequence[float | None],
    logits: Sequence[float],
    fusion: Fusion,
    kept: Collection[int] = (),
) -> Ranked:
    """Order a window.

    Args:
        first: first-stage scores in Elasticsearch's order, `(hits,)`; None counts as the lowest.
        logits: the model's fp32 logits, `(hits,)`.
        fusion: how the two become one.
        kept: first-stage positions of hits that must not sink.

    Raises:
        ValueError: the counts differ, or a logit is not finite.
    """
    if len(first) != len(logits):
        raise ValueError(f"{len(logits)} scores for {len(first)} hits")
    if not all(math.isfinite(logit) for logit in logits):
        raise ValueError("a score is not finite")
    sortable, printed = _fused(first, logits, fusion)
    positions = _unsunk(sorted(range(len(logits)), key=lambda i: (-sortable[i], i)), kept)
    return Ranked(tuple(positions), tuple(_raised([printed[i] for i in positions])))


def _unsunk(order: Sequence[int], kept: Collection[int]) -> list[int]:
    """Return the order in which none of ``kept`` stands after its first-stage position."""
    if not kept:
        return list(order)
    found: list[int] = []
    placed: set[int] = set()
    rest = iter(order)
    for place in range(len(order)):
        due = place in kept and place not in placed
        found.append(place if due else next(position for position in rest if position not in placed))
        placed.add(found[-1])
    return found


def _fused(first: Sequence[float | None], logits: Sequence[float], fusion: Fusion) -> tuple[list[float], list[float]]:
    """Return what is sorted on and what is printed, both higher-is-better, the latter >= 0."""
    if fusion.method == "rrf":
        fused = _rrf(logits, fusion.rank_constant)
        return fused, fused
    if fusion.method == "linear":
        fused = _linear(first, logits, fusion)
        lowest = min(0.0, *fused) if fused else 0.0
        return fused, [score - lowest for score in fused]
    return list(logits), [sigmoid(logit) for logit in logits]


def sigmoid(logit: float) -> float:
    """Map a logit to (0, 1), without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def _linear(first: Sequence[float | None], logits: Sequence[float], fusion: Fusion) -> list[float]:
    known = [score for score in first if score is not None]
    lowest = min(known, default=0.0)
    scale = _min_max if fusion.normalize == "min_max" else _z_score
    models, firsts = scale(logits), scale([lowest if score is None else score for score in first])
    return [fusion.weight * m + (1 - fusion.weight) * f for m, f in zip(models, firsts, strict=True)]


def _min_max(values: Sequence[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def _z_score(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / len(values) if values else 0.0
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(1, len(values)))
    return [(value - mean) / deviation if deviation > 0 else 0.0 for value in values]


def _rrf(logits: Sequence[float], constant: int) -> list[float]:
    """Reciprocal rank fusion of the two orders. Source: Cormack, Clarke and Buettcher, SIGIR 2009."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    fused = [1.0 / (constant + first + 1) for first in range(len(logits))]
    for rank_, position in enumerate(order, start=1):
        fused[position] += 1.0 / (constant + rank_)
    return fused


def _raised(scores: Sequence[float]) -> list[float]:
    """Make scores non-increasing: a hit that was kept from sinking gets the score of the best one after it."""
    highest = -math.inf
    return [highest := max(highest, score) for score in reversed(scores)][::-1]


def _falling(scores: Sequence[float]) -> list[float]:
    """Make scores non-increasing, none above an earlier one."""
    lowest = math.inf
    return [lowest := min(lowest, score) for score in scores]


def tail(first: Sequence[float | None], lowest: float) -> list[float]:
    """Return `_score`s for the hits after the window: falling as theirs do, never above ``lowest``.

    Elasticsearch's tail scores are on another scale; they are squeezed into [0, lowest] by `s / (s + top)`.
    """
    known = [max(0.0, score) for score in first if score is not None]
    top = max(known, default=0.0)
    squeezed = [lowest * max(0.0, score or 0.0) / (top + max(0.0, score or 0.0) or 1.0) for score in first]
    return _falling(squeezed)


def kendall_tau(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Return Kendall's tau-a of two orders of the same items: 1 the same, -1 reversed.

    Raises:
        ValueError: the orders are not of the same items.
    """
    place = {item: i for i, item in enumerate(after)}
    if len(place) != len(before) or any(item not in place for item in before):
        raise ValueError("the two orders are not of the same items")
    places = [place[item] for item in before]
    count = len(places)
    if count < 2:
        return 1.0
    inversions = sum(places[i] > places[j] for i in range(count) for j in range(i + 1, count))
    return 1.0 - 4.0 * inversions / (count * (count - 1))


def overlap(before: Sequence[Hashable], after: Sequence[Hashable], depth: int) -> float:
    """Return the share of the top ``depth`` items that both orders have; 1.0 for empty lists."""
    top = set(before[:depth])
    return len(top & set(after[:depth])) / len(top) if top else 1.0
