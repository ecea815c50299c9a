"""Work whose cost a client or a document can raise, done beside the event loop.

Threads share one interpreter lock: the loop still runs while they compute, since the lock changes hands every few
milliseconds, and `max_search_body` and `max_search_answer` bound the single steps that keep it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Result = TypeVar("Result")

SMALL: Final = 8 << 10
"""Bytes that are worked off on the loop itself: that takes less than handing them over would, or a few milliseconds."""

_THREADS = 2  # they take turns anyway; a second one keeps a huge body from holding up a large one


class Aside:
    """Long-lived; ``close`` it at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aside")

    async def do(self, size: int, work: Callable[..., Result], *arguments: object) -> Result:
        """Do work on ``size`` bytes: here if they are few, else in a thread."""
        if size <= SMALL:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def close(self) -> None:
        """Let running work end; what waits is not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
