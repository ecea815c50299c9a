"""Counts what code does instead of how long it takes: lines of Python that run, and calls of functions in C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class TooManyStepsError(Exception):
    """The limit of steps was reached."""


def steps(work: Callable[[], object], limit: int = 10_000_000) -> int:
    """Return the steps that ``work`` takes.

    Raises:
        TooManyStepsError: it takes more than ``limit``.
    """
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise TooManyStepsError(f"more than {limit} steps")

    def trace(_: FrameType, event: str, __: Any) -> Any:
        if event == "line":
            step()
        return trace

    def profile(_: FrameType, event: str, __: Any) -> None:
        if event == "c_call":
            step()

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count
