"""How many tokens a second a device runs: measured when a model is loaded, and followed while it works. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

UNKNOWN: Final = 1e12
"""Tokens a second of a device that was not measured: nothing is refused for want of time."""
_KEPT: Final = 0.85  # of what was known, with each batch: about seven batches count
_START: Final = 0.2  # seconds that what was measured at the start counts for: one odd batch says little
_DOUBLES: Final = 5.0
"""Seconds without a batch in which a device that was slower than at the start is taken to be twice as fast again.

Else it would be asked nothing any more, and never be seen to be fast.
"""
_DELAYS: Final = 3.0  # times the mean delay of recent batches: few are later


@dataclass(frozen=True, slots=True)
class Speed:
    """A value: each batch gives the next. ``measured`` is what the start showed."""

    measured: float = UNKNOWN
    tokens: float = 0.0
    seconds: float = 0.0
    delays: float = 0.0
    seen: float = -math.inf

    def after(self, tokens: int, seconds: float, now: float) -> Speed:
        """Return the speed after a batch that ended ``now``."""
        if seconds <= 0:
            return self
        before = (self.tokens, self.seconds) if self.seconds > 0 else (self.measured * _START, _START)
        total, lasted = (_KEPT * value for value in before)
        delay = max(0.0, seconds - tokens / self.at(now))
        delays = _KEPT * self.delays + (1 - _KEPT) * delay
        return replace(self, tokens=total + tokens, seconds=lasted + seconds, delays=delays, seen=now)

    def at(self, now: float) -> float:
        """Return tokens a second."""
        if self.seconds <= 0:
            return self.measured
        seen = self.tokens / self.seconds
        return seen if seen >= self.measured else min(self.measured, seen / self._fading(now))

    def spare(self, now: float) -> float:
        """Return the seconds to keep free: batches that take longer than they should do so by less, mostly."""
        return _DELAYS * self.delays * self._fading(now)

    def _fading(self, now: float) -> float:
        """Return what is left of the weight of the last batches: half, after each while without one."""
        return float(0.5 ** min(60.0, max(0.0, now - self.seen) / _DOUBLES))
