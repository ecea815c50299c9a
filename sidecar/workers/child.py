"""A child of the first process: `python -m sidecar.workers.child DESCRIPTOR`. It is told over its channel what to be.

Signals are the first process's: a child ends when it is told to, or when that process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from sidecar.app import Sidecar, loaded_in_the_end
from sidecar.errors import SidecarError
from sidecar.lifetime import event_loop, leave_alone_what_stays, prepare_process
from sidecar.observing.families import families
from sidecar.observing.line_writer import LineWriter
from sidecar.observing.metrics import Metrics
from sidecar.reasons import Reason
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import Scorer
from sidecar.scoring.shared.scoring_server import ScoringServer
from sidecar.scoring.shared.shared_scorer import SharedScorer
from sidecar.signals import leave
from sidecar.workers import messages
from sidecar.workers.channel import Channel

_log = logging.getLogger("sidecar.workers")


class Child:
    """What both kinds of children have in common: the channel, and their end."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.channel: Channel | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Any, sockets: list[socket.socket]) -> None:
        """Do what the first process says."""
        if isinstance(message, messages.Stop):
            self.stopping.set()
        elif isinstance(message, messages.Report):
            self.say(self.report())

    def say(self, message: Any) -> None:
        """Tell the first process."""
        if self.channel is not None:
            self.channel.send(message)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; what fails is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            _log.error("a connection could not be taken", exc_info=problem)

    def report(self) -> messages.Reported:
        """Say how this process is."""
        raise NotImplementedError

    async def run(self) -> None:
        """Work until told to stop."""
        raise NotImplementedError


class Worker(Child):
    """Serves the clients whose connections it is handed, and asks the scoring process for scores."""

    def __init__(self, config: Any, writer: LineWriter) -> None:
        super().__init__()
        self._scorer = SharedScorer()
        self._sidecar = Sidecar(config, self._scorer)
        self._sidecar.metrics.add_source("sidecar_log", writer.stats)

        self._loop = asyncio.get_running_loop()
        for name, cache in self._sidecar.rescorer.shared.items():
            cache.told = functools.partial(self._tell, name)

    def _tell(self, name: str, key: Hashable, value: Any, size: int) -> None:
        """Have all workers know a value: the next request for it may be another's. May be called in any thread."""
        self._loop.call_soon_threadsafe(self.say, messages.Shared(name, key, value, size))

    def take(self, message: Any, sockets: list[socket.socket]) -> None:
        """Do what the first process says."""
        if isinstance(message, messages.Take):
            self.begin(self._sidecar.take(sockets[0]))
        elif isinstance(message, messages.Shared):
            self._sidecar.rescorer.shared[message.cache].take(message.key, message.value, message.size)
        elif isinstance(message, messages.Scorer):
            self.begin(self._scorer.connect(sockets[0]))
        elif isinstance(message, messages.Silent):
            self._scorer.silent = message.silent
        elif isinstance(message, messages.Use):
            self._sidecar.rescorer.use(message.config)
        else:
            super().take(message, sockets)

    def report(self) -> messages.Reported:
        """Say how this process is."""
        found = families(self._sidecar.metrics.registry.collect())
        return messages.Reported(found, unready=self._scorer.unready)

    async def run(self) -> None:
        """Serve until told to stop; what runs is answered first."""
        try:
            await self._sidecar.start_taking()
            leave_alone_what_stays()
            self.say(messages.Started())
            await self.stopping.wait()
            await self._sidecar.drain_clients()
        finally:
            await self._sidecar.close()


class ScoringProcess(Child):
    """Holds the models, and scores for all workers."""

    def __init__(self, scorer: Scorer, *, require_model: bool) -> None:
        super().__init__()
        self._require_model = require_model
        self._scorer = scorer
        self._server = ScoringServer(scorer)
        self._metrics = Metrics()
        self._metrics.add_source("sidecar_engine", scorer.stats)

    def take(self, message: Any, sockets: list[socket.socket]) -> None:
        """Do what the first process says."""
        if isinstance(message, messages.Take):
            self.begin(self._server.serve(sockets[0]))
        else:
            super().take(message, sockets)

    def report(self) -> messages.Reported:
        """Say how this process is."""
        loading = self._scorer.unready == Reason.MODEL_LOADING  # without any model, it is ready to pass searches on
        unready = "starting" if loading else "scoring hangs" if self._hangs() else None
        return messages.Reported(
            families(self._metrics.registry.collect()), described=dict(self._scorer.describe()), unready=unready
        )

    def _hangs(self) -> bool:
        return bool(self._scorer.stats().get("hanging"))

    async def run(self) -> None:
        """Load the models, and score until told to stop."""
        loading = asyncio.ensure_future(self._load())
        stopped = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            await stopped
            await self._scorer.close()
        leave(0)  # a thread may still be loading a model that nobody waits for

    async def _load(self) -> None:
        if self._require_model:
            await self._scorer.start()
        else:
            await loaded_in_the_end(self._scorer.start, lambda: self._server.tell(self._scorer.unready))
        leave_alone_what_stays()
        self._server.tell(None)
        self.say(self.report())
        self.say(messages.Started())


def main(descriptor: int, scorer: Callable[[Any], Scorer] = Engine) -> int:
    """Be what the first process says; ``scorer`` makes what computes scores out of the engine's settings."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(_run(socket.socket(fileno=descriptor), scorer))
    return 0


def _child(begin: messages.Begin, writer: LineWriter, scorer: Callable[[Any], Scorer]) -> Child:
    if begin.role == "worker":
        return Worker(begin.config, writer)
    return ScoringProcess(scorer(begin.config.engine), require_model=begin.require_model)


async def _run(end: socket.socket, scorer: Callable[[Any], Scorer]) -> None:
    begun: asyncio.Future[Child] = asyncio.get_running_loop().create_future()

    def take(message: Any, sockets: list[socket.socket]) -> None:
        if isinstance(message, messages.Begin):
            writer = prepare_process(message.config)
            begun.set_result(_child(message, writer, scorer))
        else:
            begun.result().take(message, sockets)

    channel = Channel(end, take, lambda: leave(1))
    child = await begun
    child.channel = channel
    try:
        await child.run()
    except SidecarError as problem:
        child.say(messages.NotStarted(str(problem)))
    except Exception as problem:
        _log.exception("a process of the sidecar failed")
        child.say(messages.NotStarted(repr(problem)))
    leave(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(int(sys.argv[1])))
