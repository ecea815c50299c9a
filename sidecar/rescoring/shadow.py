"""Shadow mode: the client has its answer already; the window is scored with spare capacity and compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sidecar.errors import SidecarError
from sidecar.events import RescoreObserver, ShadowRecord
from sidecar.rescoring.pipeline import score_request, unscorable
from sidecar.scoring.types import Scorer
from sidecar.search.order import rank
from sidecar.search.plan import RescorePlan
from sidecar.search.rank_compare import kendall_tau, overlap
from sidecar.search.response import FirstStage

_MAX_WAITING = 64
_TIMEOUT = 60.0


class Shadow:
    """Runs comparisons in the background, a bounded number at a time; more are dropped, not queued."""

    def __init__(self, scorer: Scorer, observer: RescoreObserver, clock: Callable[[], float] = time.monotonic) -> None:
        self._scorer = scorer
        self._observer = observer
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    def compare(self, first: FirstStage, plan: RescorePlan) -> None:
        """Start comparing the orders of one first stage, unless too many comparisons are waiting."""
        if len(self._running) >= _MAX_WAITING or unscorable(first, plan) is not None:
            return
        task = asyncio.get_running_loop().create_task(self._compare(first, plan))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _compare(self, first: FirstStage, plan: RescorePlan) -> None:
        started = self._clock()
        try:
            scores = await self._scorer.score(score_request(first, plan, started + _TIMEOUT, background=True))
        except SidecarError:
            return  # shadow work is the first to go; the engine has counted it
        order = rank(first.hits[: len(scores.values)], scores.values, plan.settings.fusion)
        before = list(range(len(order)))
        self._observer.shadow(
            ShadowRecord(
                mapping=plan.pattern,
                kendall_tau=kendall_tau(before, order),
                overlap_at_10=overlap(before, order, 10),
                seconds=self._clock() - started,
            )
        )

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
