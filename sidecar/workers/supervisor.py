"""The first process of several: accepts connections and deals them out, starts the others, and watches over them.

Workers serve clients; one more process holds the models and scores for all of them. What dies is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any, Literal

from sidecar.config.model import Config
from sidecar.errors import StartupError
from sidecar.observing.families import Family, added, lasting
from sidecar.workers import messages
from sidecar.workers.process import COMMAND, Process

_LOOK = 1.0
_SLOW = 10.0
"""Seconds without a report after which a worker takes no more connections, while another does."""
_HANGS = 60.0
"""Seconds without a report after which a child is ended, so that another takes its place."""
_REPORT = 0.5
"""Seconds that a scrape waits for the children's reports; what did not come is what was reported last."""
_LIVED = 10.0
_PAUSES = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds before a child is started anew that, again and again, has not lived for ``_LIVED``."""
_log = logging.getLogger("sidecar.workers")


class Supervisor:
    """Starts and replaces the children. ``changed`` is set whenever something is known of one of them."""

    def __init__(
        self, config: Config, count: int, command: Sequence[str] = COMMAND, *, require_model: bool = False
    ) -> None:
        self.config = config
        self.changed = asyncio.Event()
        self.scorer = Process("scorer", self.changed.set)
        self.workers = [Process("worker", self.changed.set, self._share) for _ in range(count)]
        self.replaced = {"worker": 0, "scorer": 0}
        self._command = command
        self._require_model = require_model
        self._silent = False
        self._past: list[Family] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        """Start all children, and wait until the workers serve; the models are loaded meanwhile.

        Raises:
            StartupError: a worker cannot start.
        """
        for each in (self.scorer, *self.workers):
            await each.begin(self.config, self._command, require_model=self._require_model)
        for each in self.workers:
            self._link(each)
        for place in range(len(self.workers)):
            self._watch(self._keep_worker(place))
        self._watch(self._keep_scorer())
        self._watch(self._look())
        while not all(each.started for each in self.workers):
            self.raise_failures(self.workers)
            await self._news()

    async def loaded(self) -> None:
        """Wait until the models are loaded.

        Raises:
            StartupError: they cannot be.
        """
        while not self.scorer.started:
            self.raise_failures([self.scorer])
            await self._news()

    def raise_failures(self, processes: Sequence[Process]) -> None:
        """Raise what one of them says it cannot start for."""
        for each in processes:
            if each.failed is not None:
                raise StartupError(each.failed)

    async def _news(self) -> None:
        """Wait until something is known of a child; several may wait."""
        self.changed.clear()
        await self.changed.wait()

    def _watch(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _link(self, worker: Process) -> None:
        """Connect a worker with the scoring process."""
        one, other = socket.socketpair()
        self.scorer.send(messages.Take(), [one])
        worker.send(messages.Scorer(), [other])

    async def _keep_worker(self, place: int) -> None:
        deaths = 0
        while True:
            deaths = await self._after(self.workers[place], deaths)
            worker = self.workers[place] = Process("worker", self.changed.set, self._share)
            await self._begin(worker)
            self._link(worker)

    async def _keep_scorer(self) -> None:
        deaths = 0
        while True:
            deaths = await self._after(self.scorer, deaths)
            self.scorer = Process("scorer", self.changed.set)
            await self._begin(self.scorer)
            for each in self.workers:
                self._link(each)
            self._watch(self._say_when_ready(self.scorer))

    async def _say_when_ready(self, scorer: Process) -> None:
        while not scorer.started:
            await self._news()
        _log.info("the scoring process is back: searches are rescored again")

    async def _begin(self, process: Process) -> None:
        try:
            await process.begin(self.config, self._command, require_model=self._require_model)
        except OSError as problem:  # no memory, too many processes: it counts as one that ended at once
            process.failed = str(problem)

    async def _after(self, process: Process, deaths: int) -> int:
        """Wait for a child's end, and a moment more if it did not live long; return how many did not."""
        code = await process.ended()
        process.close()
        self._past = added([self._past, lasting(process.families)])
        process.reported = messages.Reported([], unready="starting")
        deaths = 0 if time.monotonic() - process.began > _LIVED else deaths + 1
        pause = _PAUSES[min(deaths, len(_PAUSES) - 1)]
        name: Literal["worker", "scorer"] = process.role
        self.replaced[name] += 1
        _log.error(
            "the %s process %d ended with %d%s: another is started in %g s",
            "scoring" if name == "scorer" else name,
            process.pid,
            code,
            f" ({process.failed})" if process.failed else "",
            pause,
        )
        await asyncio.sleep(pause)
        return deaths

    async def _look(self) -> None:
        """Have reports sent, and end what does not send any."""
        while True:
            await asyncio.sleep(_LOOK)
            for each in (*self.workers, self.scorer):
                if each.silent > _HANGS:
                    _log.error("the %s process %d has not answered for %g s: it is ended", each.role, each.pid, _HANGS)
                    each.kill()
                elif not each.silent:
                    self._watch(each.report())
            self._tell_of_silence()

    def _tell_of_silence(self) -> None:
        """Have the workers ask the scoring process no more while it does not answer."""
        silent = self.scorer.silent > _SLOW
        if silent != self._silent:
            self._silent = silent
            for each in self.workers:
                each.send(messages.Silent(silent))

    def use(self, config: Config) -> None:
        """Have a new configuration used for searches from now on."""
        self.config = config
        for each in self.workers:
            each.send(messages.Use(config))

    def _share(self, message: messages.Shared) -> None:
        """Tell all workers, also the one that it comes from: what they hear last is the same."""
        for each in self.workers:
            if each.free:
                each.send(message)

    def takers(self) -> list[Process]:
        """Return the workers that take connections now: those that answer, else any that may yet."""
        free = [each for each in self.workers if each.free]
        return [each for each in free if each.silent < _SLOW] or free

    async def families(self) -> list[Family]:
        """Return the metrics of all children, those that ended included."""
        running = [each for each in (*self.workers, self.scorer) if each.open]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPORT):
                await asyncio.gather(*(each.report() for each in running))
        return added([self._past, *(each.families for each in (*self.workers, self.scorer))])

    def unready(self) -> str | None:
        """Say why searches are not rescored now, None where they are."""
        if not all(each.started for each in self.workers):
            return "starting"
        if self._silent or (self.replaced["scorer"] and not self.scorer.started):
            return "scorer_down"
        return self.scorer.reported.unready

    def stats(self) -> dict[str, float]:
        """Count processes, for the metrics."""
        return {
            "running": sum(each.started for each in self.workers),
            "replaced_total": self.replaced["worker"],
            "scorer_running": float(self.scorer.started),
            "scorer_replaced_total": self.replaced["scorer"],
        }

    async def end_all(self) -> None:
        """Have the workers answer what runs, and end; then the scoring process."""
        for task in self._tasks:
            task.cancel()
        for each in self.workers:
            each.send(messages.Stop())
        await asyncio.gather(*(each.ended() for each in self.workers))
        self.scorer.send(messages.Stop())
        await self.scorer.ended()
