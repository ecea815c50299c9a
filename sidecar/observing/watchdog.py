"""Notices when the event loop stops: it is told that the loop runs, and looked at from a thread that does not need it.

What stalls the loop stalls every client, and no metric or log line of the loop's own would say so meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

BEAT: Final = 0.1
STALLED: Final = 1.0
DEAD: Final = 10.0
_log = logging.getLogger("sidecar.watchdog")


class Watchdog:
    """Built on the thread whose event loop is watched. Times are seconds.

    After ``stalled`` without a beat a log line says where the loop's thread is, after ``dead`` it counts as dead.
    """

    def __init__(
        self, *, stalled: float = STALLED, dead: float = DEAD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stalled = stalled
        self._dead = dead
        self._clock = clock
        self._thread = threading.get_ident()
        self._last = clock()
        self._told = False
        self._stalls = 0
        self._longest = 0.0

    def beat(self) -> None:
        """Note that the loop runs."""
        silent = self.silent
        self._last = self._clock()
        self._longest = max(self._longest, silent)
        if self._told:
            self._told = False
            _log.warning("the event loop runs again after %.1f s", silent)

    @property
    def silent(self) -> float:
        """Seconds since the loop last ran."""
        return self._clock() - self._last

    @property
    def alive(self) -> bool:
        """Whether the loop ran lately."""
        return self.silent < self._dead

    def look(self) -> None:
        """Say so where the loop has stalled, once for each stall."""
        silent = self.silent
        if silent >= self._stalled and not self._told:
            self._told = True
            self._stalls += 1
            frame = sys._current_frames().get(self._thread)
            where = "" if frame is None else "".join(traceback.format_stack(frame, limit=8))
            _log.error("the event loop has not run for %.1f s; it is at:\n%s", silent, where)

    def stats(self) -> dict[str, float]:
        """Return counters and gauges for the metrics."""
        return {
            "stalls_total": self._stalls,
            "silent_seconds": self.silent,
            "longest_silence_seconds": max(self._longest, self.silent),
        }

    async def beating(self) -> None:
        """Beat for as long as the loop runs this."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT)

    async def looking(self) -> None:
        """Look for as long as the loop of another thread runs this."""
        while True:
            self.look()
            await asyncio.sleep(BEAT)
