"""The composition root: builds every long-lived object, hands them down, starts and stops them in order.

The proxy listens before the model is loaded: until it is warm, searches pass through with the reason
``model_loading``, so a restart never costs a client its search.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sidecar.config.model import Config, IndexMapping
from sidecar.config.reload import NOTHING_MAPPED, ConfigSource
from sidecar.errors import ModelError
from sidecar.http.client import Upstream
from sidecar.http.listener import RunningServer, listen_for_admin, listen_for_clients
from sidecar.http.proxy import Handler
from sidecar.observing import logs
from sidecar.observing.line_writer import LineWriter
from sidecar.observing.metrics import Metrics
from sidecar.observing.records import FanOut
from sidecar.observing.watchdog import Watchdog
from sidecar.reasons import Reason
from sidecar.rescoring.rescorer import Rescorer
from sidecar.scoring.expectation import expectation
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import Scorer
from sidecar.serving.admin import make_admin_app
from sidecar.serving.own_loop import OwnLoop
from sidecar.signals import leave, on_stop

_TURN = 0.001
"""Seconds that a thread computes before the event loop, if it waits, has its turn; Python's own are 5 ms."""
_COLLECTOR = (50_000, 20, 50)
"""Objects, and collections of the younger generations, between two collections; Python's own are (700, 10, 10)."""
_log = logging.getLogger("sidecar")
_ORDERLY = 1.0
"""Seconds of the grace period that are kept for the engine's end."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries to load a model that is not available; each is twice the one before."""


class Sidecar:
    """Everything that lives as long as the process. ``port`` and ``admin_port`` are set by ``start``.

    ``scorer`` computes the scores; without one it is the engine that ``config`` describes.
    """

    def __init__(self, config: Config, scorer: Scorer | None = None) -> None:
        self.config = config
        self.metrics = Metrics()
        self.observer = FanOut(self.metrics, logs.SearchLog())
        self.upstream = Upstream(config.upstream)
        self.scorer: Scorer = Engine(config.engine) if scorer is None else scorer
        self.rescorer = Rescorer(config, self.scorer, self.observer)
        self.port = 0
        self.admin_port = 0
        self._clients: RunningServer | None = None
        self._loading = False
        self._stopping = False
        self._stack = contextlib.AsyncExitStack()
        circuits = self.rescorer.breakers
        self.metrics.add_labelled(
            "sidecar_circuit_state", "0 closed, 1 half-open, 2 open.", ("mapping", "model"), circuits.states
        )
        self.metrics.add_labelled(
            "sidecar_circuit_changes_total",
            "Changes of circuit breakers into a state.",
            ("mapping", "model", "state"),
            circuits.changes,
        )
        self.metrics.add_source("sidecar_engine", self.scorer.stats)
        self.metrics.add_source("sidecar_proxy", self.proxy_stats)

    async def start(self) -> None:
        """Bind both listeners; searches pass through until ``load`` is done.

        Raises:
            StartupError: a port is taken.
        """
        await self._start_admin()  # it answers until the very end: what is started first is closed last
        await self.upstream.start()
        self._stack.push_async_callback(self.upstream.close)
        self._stack.push_async_callback(self._unload)
        self._stack.push_async_callback(self.rescorer.close)
        clients = await listen_for_clients(Handler(self.upstream, self.rescorer, self.observer), self.config.listen)
        self._clients = clients
        self._stack.push_async_callback(clients.close)
        self.port = clients.port
        _log.info("listening on %s", clients.name)

    async def _start_admin(self) -> None:
        """Start the admin listener on a loop of its own, which also watches over this one."""
        watchdog, beside = Watchdog(), OwnLoop("admin")
        self._stack.push_async_callback(beside.close)
        self.metrics.add_source("sidecar_loop", watchdog.stats)
        app = make_admin_app(self.metrics, watchdog, self.unready, self.describe, self.config.admin.token)
        server = await beside.run(listen_for_admin(app, self.config.admin))
        self._stack.push_async_callback(lambda: beside.run(server.close()))
        self.admin_port = server.port
        beating = asyncio.create_task(watchdog.beating())
        self._stack.callback(beating.cancel)
        beside.start(watchdog.looking())

    async def load(self) -> None:
        """Load and warm the models.

        Raises:
            ModelError: a model is not available.
        """
        self._loading = True
        await self.scorer.start()
        _log.info("model ready", extra={"fields": self.scorer.describe()})
        for line in self._expectations():
            _log.info(line)
        for pattern, fusion in self.config.fusions_told().items():
            _log.info("%s: fusion %s", pattern, fusion)

    def _expectations(self) -> Iterator[str]:
        """Say of each model whose speed is known what the mappings' searches can expect, the most hurried one's."""
        for name, told in self.scorer.describe().items():
            used = [mapping for mapping in self.config.indices.values() if self._model(mapping) == name]
            hurried = min(used, key=lambda mapping: mapping.timeout, default=None)
            if hurried is not None and "tokens_per_second" in told:
                yield expectation(name, told["tokens_per_second"], hurried.window_size, hurried.timeout)

    def _model(self, mapping: IndexMapping) -> str:
        engine = self.config.engine
        return engine.model if mapping.model is None else engine.models[mapping.model].model

    async def _unload(self) -> None:
        if self._loading:
            await self.scorer.close()

    def unready(self) -> str | None:
        """Say why searches are not rescored now, None where they are."""
        if self._stopping:
            return "stopping"
        if self.scorer.unready == Reason.MODEL_LOADING:
            return "starting"  # without any model it is ready to pass searches through
        return "scoring hangs" if self.scorer.stats().get("hanging") else None

    def proxy_stats(self) -> dict[str, float]:
        """Count connections and requests on both sides of the proxy."""
        return {**({} if self._clients is None else self._clients.stats()), **self.upstream.stats()}

    def describe(self) -> dict[str, Any]:
        """Say what runs: the engine's choices and the mapped patterns."""
        return {"engine": self.scorer.describe(), "indices": sorted(self.rescorer.config.indices)}

    async def drain(self) -> None:
        """Turn readiness, stop listening after the configured delay, and let running requests end."""
        settings = self.config.shutdown
        self._stopping = True
        _log.info("stopping", extra={"fields": {"delay": settings.delay, "grace_period": settings.grace_period}})
        await asyncio.sleep(settings.delay)
        if self._clients is not None:
            await self._clients.drain(max(settings.grace_period - _ORDERLY, settings.grace_period / 2))

    async def close(self) -> None:
        """Stop listening, let running requests end, release the rest; last started goes first."""
        self._stopping = True
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """The base URL that clients on this machine use."""
        host = self.config.listen.host
        scheme = "http" if self.config.listen.tls is None else "https"
        return f"{scheme}://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{self.port}"  # noqa: S104


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Sidecar]:
    """Run a sidecar, its model loaded, for the length of a ``with`` block (demo, eval, tests)."""
    sidecar = Sidecar(config)
    try:
        await sidecar.start()
        await sidecar.load()
        yield sidecar
    finally:
        await sidecar.close()


def serve(config: Config, reload: ConfigSource | None = None, *, require_model: bool = False) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Raises:
        StartupError: a port is taken, or ``require_model`` is set and the model is not available.
    """
    writer = logs.configure(config.log_level)
    _take_descriptors()
    sys.setswitchinterval(_TURN)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop, stop = runner.get_loop(), asyncio.Event()
        limit = config.shutdown.delay + config.shutdown.grace_period
        with on_stop(lambda: loop.call_soon_threadsafe(stop.set), limit, hangup_stops=reload is None):
            runner.run(_serve(config, reload, stop, writer, require_model))
    return 0


def _take_descriptors() -> None:
    """Allow as many open connections as the system lets us: the usual soft limit is 1024, from the days of select."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not built for this platform
        return None
    return uvloop.new_event_loop


async def _serve(
    config: Config, reload: ConfigSource | None, stop: asyncio.Event, writer: LineWriter, require_model: bool
) -> None:
    sidecar = Sidecar(config)
    sidecar.metrics.add_source("sidecar_log", writer.stats)
    async with _watching(sidecar, reload):  # to the end: without a handler, SIGHUP would end the process
        try:
            await sidecar.start()
            if not config.indices:
                _log.warning(NOTHING_MAPPED)
            await _first(sidecar.load() if require_model else _loaded_in_the_end(sidecar), stop)
            leave_alone_what_stays()
            await stop.wait()
            await sidecar.drain()
        finally:
            await sidecar.close()
    leave(0)


def leave_alone_what_stays() -> None:
    """Keep the garbage collector from walking over all modules and models, and over a large body ten times.

    A full collection with torch loaded stops every thread for 100 ms; what is built of a body has no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)


async def _loaded_in_the_end(sidecar: Sidecar) -> None:
    """Load the models, trying again for as long as it takes: meanwhile searches pass through."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await sidecar.load()
        except Exception as problem:  # whatever it is, Elasticsearch's own answers are better than none
            unforeseen = None if isinstance(problem, ModelError) else problem
            message = "NOTHING IS RESCORED, searches pass through (model_unavailable): %s; next try in %g s"
            _log.error(message, problem, pause, exc_info=unforeseen)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _first(loading: Any, stop: asyncio.Event) -> None:
    """Wait for the model, or for the signal to stop; a failed load is raised."""
    load, stopped = asyncio.ensure_future(loading), asyncio.ensure_future(stop.wait())
    await asyncio.wait({load, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if load.done():
        load.result()
    else:
        load.cancel()


@contextlib.asynccontextmanager
async def _watching(sidecar: Sidecar, reload: ConfigSource | None) -> AsyncIterator[None]:
    if reload is None:
        yield
        return
    sidecar.metrics.add_source("sidecar_config", reload.stats)
    watch = asyncio.create_task(reload.watch(sidecar.rescorer.use))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
