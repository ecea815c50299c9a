"""Stops asking a model that keeps failing, so that searches don't pay its deadline one after another.

Pure: the clock's reading is passed in. The three states are the usual ones (closed, open, half-open).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum


class State(IntEnum):
    """What a breaker does with requests: lets all through, one at a time, or none."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """A value: each event gives the next breaker. Times are seconds of any monotonic clock."""

    threshold: int = 5
    cool_down: float = 5.0
    failures: int = 0
    opened_at: float | None = None
    probing: bool = False

    @property
    def state(self) -> State:
        """The state; it is half-open while a probe is under way."""
        if self.opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self.probing else State.OPEN

    def allows(self, now: float) -> bool:
        """Return whether a request may go: always when closed; once the cool-down is over, one at a time."""
        return self.opened_at is None or (not self.probing and now - self.opened_at >= self.cool_down)

    def probed(self) -> CircuitBreaker:
        """Return the breaker after a request was let through: where it is open, that is its one probe."""
        return self if self.opened_at is None else replace(self, probing=True)

    def abandoned(self) -> CircuitBreaker:
        """Return the breaker after its probe ended without telling anything: the next request is the probe."""
        return replace(self, probing=False)

    def succeeded(self) -> CircuitBreaker:
        """Return the closed breaker."""
        return replace(self, failures=0, opened_at=None, probing=False)

    def failed(self, now: float) -> CircuitBreaker:
        """Return the breaker after one more failure: open once ``threshold`` came in a row."""
        failures = self.failures + 1
        opened_at = now if failures >= self.threshold else self.opened_at
        return replace(self, failures=failures, opened_at=opened_at, probing=False)
