"""Work whose cost a client or a document can raise, done beside the event loop.

Threads share one interpreter lock: the loop still runs while they compute, since the lock changes hands every few
milliseconds, and `max_search_body` and `max_search_answer` bound the single steps that keep it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

SMALL: Final = 8 << 10
"""Bytes that are worked off on the loop itself: a few milliseconds at the worst, and handing over takes time, too."""

_ENDING: Final = ThreadPoolExecutor(2, thread_name_prefix="ending")


async def aside(size: int, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Do work on ``size`` bytes: here if they are few, else in one of the loop's threads."""
    if size <= SMALL:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)


async def at_last(size: int, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Do the work that ends a search and is bound by no deadline: it does not queue behind others' beginnings."""
    if size <= SMALL:
        return work(*given, **named)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_ENDING, functools.partial(work, *given, **named))
