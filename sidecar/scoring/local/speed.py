"""How many tokens a second a device runs: measured when a model is loaded, and followed while it works. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

UNKNOWN: Final = 1e12
"""Tokens a second of a device that was not measured: nothing is refused for want of time."""
_KEPT: Final = 0.85  # of what was known, with each batch: about seven batches count
_START: Final = 0.2  # seconds that what was measured at the start counts for: one odd batch says little
_STALE: Final = 5.0
"""Seconds after which what was measured at the start holds again: a device that was slowed down would else be asked
nothing any more, and never be seen to be fast again."""


@dataclass(frozen=True, slots=True)
class Speed:
    """A value: each batch gives the next. ``measured`` is what the start showed."""

    measured: float = UNKNOWN
    tokens: float = 0.0
    seconds: float = 0.0
    seen: float = -math.inf

    def after(self, tokens: int, seconds: float, now: float) -> Speed:
        """Return the speed after a batch that ended ``now``."""
        if seconds <= 0:
            return self
        fresh = now - self.seen <= _STALE
        before = (self.tokens, self.seconds) if fresh else (self.measured * _START, _START)
        total, lasted = (_KEPT * value for value in before)
        return replace(self, tokens=total + tokens, seconds=lasted + seconds, seen=now)

    def at(self, now: float) -> float:
        """Return tokens a second."""
        return self.tokens / self.seconds if self.seconds > 0 and now - self.seen <= _STALE else self.measured
