"""The one deadline of a search: all that is done between Elasticsearch's first answer and ours has to meet it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sidecar.reasons import Reason

Result = TypeVar("Result")
Clock = Callable[[], float]
Late = Literal[Reason.DEADLINE]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of a clock, in seconds."""

    ends: float
    clock: Clock

    @property
    def left(self) -> float:
        """The seconds that are left; negative when it has passed."""
        return self.ends - self.clock()

    async def meet(self, work: Coroutine[Any, Any, Result], spare: float = 0.0) -> Result | Late:
        """Return what ``work`` gives, or that it is late; ``spare`` seconds are left to what keeps time itself.

        Late work is cancelled, but not waited for: whatever it does about that, the client's answer goes on.
        """
        if self.left + spare <= 0:
            work.close()
            return Reason.DEADLINE
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=self.left + spare)
            return task.result() if task.done() else Reason.DEADLINE
        finally:
            if not task.done():
                task.add_done_callback(_forget)
                task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    """Take what a task that nobody waits for raised, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()
