"""Whether a search can still be scored in time, and whether it is its caller's turn. Pure.

What must be run is the best hits of each admitted search, as many as its mapping's `min_window` says. That is run
earliest deadline first, which meets all deadlines where any order does; so to admit a search is to show that its own
deadline and all later ones are still met. What is left of the device goes to further hits, which nobody was promised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SURE: Final = 0.8
"""The part of a device's speed that promises are made on: it has other work, too."""
_SHARE: Final = 0.75
"""The part of the time until a deadline that callers may fill with promises; the rest is for callers yet to come."""


@dataclass(frozen=True, slots=True)
class Due:
    """Tokens that must be run by a deadline, and for whom."""

    deadline: float
    tokens: int
    caller: bytes


def admits(new: Due, due: Iterable[Due], running: float, now: float, speed: float) -> bool:
    """Return whether a search may be promised its tokens.

    Args:
        new: what it must have.
        due: what was promised to others and not run yet.
        running: tokens that run now and have not ended.
        now: the clock's reading.
        speed: tokens a second of all devices together.
    """
    due = list(due)
    return _in_time(new, due, running, now, speed * SURE) and _in_turn(new, due, now, speed * SURE)


def _in_time(new: Due, due: list[Due], running: float, now: float, speed: float) -> bool:
    tokens = running
    for each in sorted([*due, new], key=lambda each: each.deadline):
        tokens += each.tokens
        if each.deadline >= new.deadline and tokens > speed * (each.deadline - now):
            return False
    return True


def _in_turn(new: Due, due: list[Due], now: float, speed: float) -> bool:
    """Return whether a caller keeps to its share; the first search of each may be as large as it likes."""
    own = sum(each.tokens for each in due if each.caller == new.caller)
    callers = {each.caller for each in due} | {new.caller}
    return own == 0 or own + new.tokens <= speed * (new.deadline - now) * _SHARE / len(callers)


def room(due: Iterable[Due], running: float, deadline: float, now: float, speed: float) -> float:
    """Return how many tokens can be run by a deadline besides what was promised: more are not worth preparing."""
    return speed * (deadline - now) - running - sum(each.tokens for each in due if each.deadline <= deadline)
