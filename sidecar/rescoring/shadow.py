"""Shadow mode: the client's request is forwarded unchanged; beside it, its window is fetched, scored and compared."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from sidecar.errors import SidecarError
from sidecar.observing.records import RescoreObserver, ShadowRecord
from sidecar.reasons import Reason
from sidecar.rescoring.deadline import Deadline
from sidecar.rescoring.fetching import Send, ask, taken_apart, with_texts
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.order import kendall_tau, overlap, rank
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.scored import score_request, unscorable
from sidecar.scoring.scorer import Scorer

_log = logging.getLogger("sidecar.rescorer")
_MAX_WAITING = 64
_AT_A_TIME = 4
_TIMEOUT = 60.0


class Shadow:
    """Runs comparisons in the background, few at a time; when too many wait, more are dropped."""

    def __init__(self, scorer: Scorer, observer: RescoreObserver, clock: Callable[[], float] = time.monotonic) -> None:
        self._scorer = scorer
        self._observer = observer
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_A_TIME)

    def compare(self, plan: RescorePlan, send: Send) -> Reason:
        """Start comparing the orders of one search, unless too many wait; say that it is forwarded unchanged."""
        if len(self._running) < _MAX_WAITING:
            task = asyncio.get_running_loop().create_task(self._compare(plan, send))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return Reason.SHADOW

    async def _compare(self, plan: RescorePlan, send: Send) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT), self._gate:
                await self._compared(plan, send)
        except (SidecarError, TimeoutError):
            return  # shadow work is the first to go; the engine has counted it
        except Exception:
            _log.exception("a shadow comparison failed; no answer depends on it")

    async def _compared(self, plan: RescorePlan, send: Send) -> None:
        started = self._clock()
        first = await self._first(plan, send, Deadline(started + _TIMEOUT, self._clock))
        if first is None or unscorable(first, plan) is not None:
            return
        scores = await self._scorer.score(score_request(first, plan, started + _TIMEOUT, background=True))
        order = rank(first.hits[: plan.window.size_rescored], scores.values, plan.settings.fusion, plan.query_text)
        before = list(range(len(order)))
        self._observer.shadow(
            ShadowRecord(
                mapping=plan.pattern,
                kendall_tau=kendall_tau(before, order),
                overlap_at_10=overlap(before, order, 10),
                seconds=self._clock() - started,
            )
        )

    async def _first(self, plan: RescorePlan, send: Send, deadline: Deadline) -> FirstStage | None:
        upstream = await ask("widened", plan, send)
        if upstream.status != 200:
            return None
        first = await taken_apart(upstream.body, plan)
        return await with_texts(first, plan, send, deadline) if isinstance(first, FirstStage) else None

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
