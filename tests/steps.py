"""Counts what code does instead of how long it takes: lines of Python that run, and calls of functions in C."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any


class TooManyStepsError(BaseException):
    """The limit of steps was reached."""


@dataclass
class Steps:
    """Steps ``here``, on the thread that the work was given to, and on threads that it started ``beside`` it."""

    limit: int
    here: int = 0
    beside: int = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Take an event of `sys.settrace`."""
        del frame, argument
        if event == "line":
            self.here += 1
            self._check()
        return self.trace

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take an event of `sys.setprofile`."""
        del frame, argument
        self.here += event == "c_call"

    def trace_beside(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Take an event of another thread."""
        del frame, argument
        if event == "line":
            self.beside += 1
            self._check()
        return self.trace_beside

    def _check(self) -> None:
        if self.here + self.beside > self.limit:
            self.limit = sys.maxsize  # raised once, where it is exceeded: not in what cleans up after it
            raise TooManyStepsError(f"more than {self.here + self.beside - 1} steps")


def steps_of(work: Callable[[], object], limit: int = 10_000_000) -> Steps:
    """Return the steps that ``work`` takes.

    Raises:
        TooManyStepsError: it takes more than ``limit``.
    """
    count = Steps(limit)
    before = sys.gettrace(), sys.getprofile()
    threading.settrace(count.trace_beside)
    sys.settrace(count.trace)
    sys.setprofile(count.profile)
    try:
        work()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        threading.settrace(None)
    return count


def steps(work: Callable[[], object], limit: int = 10_000_000) -> int:
    """Return the steps that ``work`` takes on this thread.

    Raises:
        TooManyStepsError: it takes more than ``limit``.
    """
    return steps_of(work, limit).here
