"""Stops asking a model that keeps failing, so that searches don't pay its deadline one after another.

Pure: the clock's reading is passed in. The three states are the usual ones (closed, open, half-open);
late answers count as failures of the model, since a client waited for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """A value: each event gives the next breaker. Times are seconds of any monotonic clock."""

    threshold: int = 5
    cool_down: float = 5.0
    failures: int = 0
    opened_at: float | None = None

    def allows(self, now: float) -> bool:
        """Tell whether a request may go: always when closed, and once the cool-down is over."""
        return self.opened_at is None or now - self.opened_at >= self.cool_down

    def probing(self, now: float) -> CircuitBreaker:
        """Give the breaker after a request was let through at ``now``.

        After the cool-down one probe goes; the next waits another cool-down unless the probe succeeds.
        """
        return self if self.opened_at is None else replace(self, opened_at=now)

    def succeeded(self) -> CircuitBreaker:
        """Give the closed breaker."""
        return replace(self, failures=0, opened_at=None)

    def failed(self, now: float) -> CircuitBreaker:
        """Give the breaker after one more failure: open once ``threshold`` came in a row."""
        failures = self.failures + 1
        return replace(self, failures=failures, opened_at=now if failures >= self.threshold else self.opened_at)
