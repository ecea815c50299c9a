"""The composition root: builds every long-lived object, hands them down, starts and stops them in order.

The proxy listens before the model is loaded: until it is warm, searches pass through with the reason
``model_loading``, so a restart never costs a client its search.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from sidecar.config.model import Config, IndexMapping
from sidecar.config.reload import NOTHING_MAPPED, ConfigSource
from sidecar.errors import ModelError
from sidecar.http.client import Upstream
from sidecar.http.listener import Listen, RunningServer, listen_for_admin, listen_for_clients, take_from_another
from sidecar.http.proxy import Handler
from sidecar.lifetime import leave_alone_what_stays, run_until_stopped
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
from sidecar.serving.pages import Running
from sidecar.signals import leave

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
        self.metrics.add_source("sidecar_lists", self.rescorer.lists.stats)

    async def start(self) -> None:
        """Bind both listeners; searches pass through until ``load`` is done.

        Raises:
            StartupError: a port is taken.
        """
        await self._start_admin()  # it answers until the very end: what is started first is closed last
        clients = await self._start_clients(listen_for_clients)
        self.port = clients.port
        _log.info("listening on %s", clients.name)

    async def start_taking(self) -> None:
        """Be ready for connections that another process accepted, without listeners of our own."""
        await self._start_clients(take_from_another)

    async def _start_clients(self, listen: Listen) -> RunningServer:
        await self.upstream.start()
        self._stack.push_async_callback(self.upstream.close)
        self._stack.push_async_callback(self._unload)
        self._stack.push_async_callback(self.rescorer.close)
        clients = await listen(Handler(self.upstream, self.rescorer, self.observer), self.config.listen)
        self._clients = clients
        self._stack.push_async_callback(clients.close)
        return clients

    async def take(self, connection: socket.socket) -> None:
        """Serve a client whose connection another process accepted."""
        if self._clients is None:
            connection.close()
        else:
            await self._clients.take(connection)

    async def _start_admin(self) -> None:
        """Start the admin listener on a loop of its own, which also watches over this one."""
        watchdog, beside = Watchdog(), OwnLoop("admin")
        self._stack.push_async_callback(beside.close)
        self.metrics.add_source("sidecar_loop", watchdog.stats)
        app = make_admin_app(self.metrics, watchdog, self.unready, self.describe, self._running())
        server = await beside.run(listen_for_admin(app, self.config.admin))
        self._stack.push_async_callback(lambda: beside.run(server.close()))
        self.admin_port = server.port
        _log.info("health and metrics on %s", server.name)
        beating = asyncio.create_task(watchdog.beating())
        self._stack.callback(beating.cancel)
        beside.start(watchdog.looking())

    def _running(self) -> Running:
        return Running(config=lambda: self.rescorer.config, port=lambda: self.port)

    async def load(self) -> None:
        """Load and warm the models.

        Raises:
            ModelError: a model is not available.
        """
        self._loading = True
        await self.scorer.start()
        _log.info("model ready", extra={"fields": self.scorer.describe()})
        for line in expectations(self.config, self.scorer.describe()):
            _log.info(line)
        for pattern, fusion in self.config.fusions_told().items():
            _log.info("%s: fusion %s", pattern, fusion)

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
        await self.drain_clients()

    async def drain_clients(self) -> None:
        """Stop listening, and let running requests end."""
        settings = self.config.shutdown
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


def expectations(config: Config, described: Mapping[str, Any]) -> Iterator[str]:
    """Say of each model whose speed is known what the mappings' searches can expect, the most hurried one's."""
    for name, told in described.items():
        used = [mapping for mapping in config.indices.values() if _model(mapping, config) == name]
        hurried = min(used, key=lambda mapping: mapping.timeout, default=None)
        if hurried is not None and "tokens_per_second" in told:
            yield expectation(name, told["tokens_per_second"], hurried.window_size, hurried.timeout)


def _model(mapping: IndexMapping, config: Config) -> str:
    return config.engine.model if mapping.model is None else config.engine.models[mapping.model].model


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
    return run_until_stopped(
        config, lambda stop, writer: _serve(config, reload, stop, writer, require_model), hangup_stops=reload is None
    )


async def _serve(
    config: Config, reload: ConfigSource | None, stop: asyncio.Event, writer: LineWriter, require_model: bool
) -> None:
    sidecar = Sidecar(config)
    sidecar.metrics.add_source("sidecar_log", writer.stats)
    # To the end: without a handler, SIGHUP would end the process.
    async with watching(reload, sidecar.metrics, sidecar.rescorer.use):
        try:
            await sidecar.start()
            if not config.indices:
                _log.warning(NOTHING_MAPPED)
            await _first(sidecar.load() if require_model else loaded_in_the_end(sidecar.load), stop)
            leave_alone_what_stays()
            await stop.wait()
            await sidecar.drain()
        finally:
            await sidecar.close()
    leave(0)


async def loaded_in_the_end(load: Callable[[], Awaitable[None]], failed: Callable[[], None] = lambda: None) -> None:
    """Load the models, trying again for as long as it takes: meanwhile searches pass through.

    ``failed`` is called after each try that failed.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await load()
        except Exception as problem:  # whatever it is, Elasticsearch's own answers are better than none
            unforeseen = None if isinstance(problem, ModelError) else problem
            message = "NOTHING IS RESCORED, searches pass through (model_unavailable): %s; next try in %g s"
            _log.error(message, problem, pause, exc_info=unforeseen)
            failed()
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
async def watching(reload: ConfigSource | None, metrics: Metrics, use: Callable[[Config], None]) -> AsyncIterator[None]:
    """Watch the configuration's file for the length of a ``with`` block."""
    if reload is None:
        yield
        return
    metrics.add_source("sidecar_config", reload.stats)
    watch = asyncio.create_task(reload.watch(use))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
