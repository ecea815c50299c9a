"""How far two orders of the same hits are apart, for shadow mode and log replay."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def kendall_tau(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Give Kendall's tau-a of two orders of the same items: 1 the same, -1 reversed.

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
    """Give the share of the top ``depth`` items that both orders have; 1.0 for empty lists."""
    top = set(before[:depth])
    return len(top & set(after[:depth])) / len(top) if top else 1.0
