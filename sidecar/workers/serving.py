"""`serve` with several processes: the composition root of the first one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from sidecar.app import expectations, watching
from sidecar.config.model import Config
from sidecar.config.reload import NOTHING_MAPPED, ConfigSource
from sidecar.http.listener import listen_for_admin
from sidecar.lifetime import run_until_stopped
from sidecar.observing.families import Family, added, families
from sidecar.observing.line_writer import LineWriter
from sidecar.observing.metrics import Metrics
from sidecar.observing.watchdog import Watchdog
from sidecar.scoring.local.backends.ways import sees_gpu
from sidecar.scoring.local.cpu import cpu_quota
from sidecar.serving.admin import make_admin_app
from sidecar.serving.own_loop import OwnLoop
from sidecar.serving.pages import Running
from sidecar.signals import leave
from sidecar.workers.dealing import Dealer
from sidecar.workers.process import COMMAND
from sidecar.workers.supervisor import Supervisor

_SCRAPE = 1.0
"""Seconds after which a scrape shows what was reported last."""
_log = logging.getLogger("sidecar")


def worker_count(config: Config) -> int:
    """Return how many processes serve clients: as configured, else one a core where a GPU keeps up with them."""
    if config.workers is not None:
        return config.workers
    on_gpu = config.engine.device.startswith("cuda") or (config.engine.device == "auto" and sees_gpu())
    return cpu_quota() if on_gpu and config.engine.backend != "onnx" else 1


def serve(
    config: Config,
    reload: ConfigSource | None,
    count: int,
    command: Sequence[str] = COMMAND,
    *,
    require_model: bool = False,
) -> int:
    """Run ``count`` workers until SIGTERM or SIGINT; return the exit code.

    Raises:
        StartupError: a port is taken, or ``require_model`` is set and the model is not available.
    """
    supervisor = Supervisor(config, count, command, require_model=require_model)
    return run_until_stopped(
        config,
        lambda stop, writer: _First(config, supervisor).run(reload, stop, writer),
        hangup_stops=reload is None,
    )


class _First:
    """The first process."""

    def __init__(self, config: Config, supervisor: Supervisor) -> None:
        self._config = config
        self._own = Metrics()
        self._supervisor = supervisor
        self._dealer = Dealer(config.listen, self._supervisor.takers)
        self._stopping = False
        self._stack = contextlib.AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own.add_source("sidecar_workers", self._supervisor.stats)

    async def run(self, reload: ConfigSource | None, stop: asyncio.Event, writer: LineWriter) -> None:
        """Serve until told to stop, and leave."""
        self._loop = asyncio.get_running_loop()
        self._own.add_source("sidecar_log", writer.stats)
        async with watching(reload, self._own, self._supervisor.use):
            try:
                await self._until_stopped(stop)
            finally:
                await self._stack.aclose()
        leave(0)

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        await self._start_admin()
        serving = asyncio.ensure_future(self._start())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        serving.cancel()
        await stopped
        await self._drain()

    async def _start(self) -> None:
        await self._dealer.listen()
        await self._supervisor.start()
        _log.info("listening on %s", self._dealer.name)
        if not self._config.indices:
            _log.warning(NOTHING_MAPPED)
        await self._supervisor.loaded()
        described = self._supervisor.scorer.reported.described
        _log.info("model ready", extra={"fields": described})
        for line in expectations(self._config, described):
            _log.info(line)

    async def _start_admin(self) -> None:
        """Start the admin listener on a loop of its own, which also watches over this one."""
        watchdog, beside = Watchdog(), OwnLoop("admin")
        self._stack.push_async_callback(beside.close)
        self._own.add_source("sidecar_loop", watchdog.stats)
        running = Running(config=lambda: self._supervisor.config, port=lambda: self._dealer.port)
        app = make_admin_app(self, watchdog, self._unready, self._describe, running)
        server = await beside.run(listen_for_admin(app, self._config.admin))
        self._stack.push_async_callback(lambda: beside.run(server.close()))
        beating = asyncio.create_task(watchdog.beating())
        self._stack.callback(beating.cancel)
        beside.start(watchdog.looking())

    def render(self) -> bytes:
        """Return the metrics of all processes together; called on the admin listener's thread."""
        found: list[Family] = []
        if self._loop is not None:
            asked = asyncio.run_coroutine_threadsafe(self._supervisor.families(), self._loop)
            with contextlib.suppress(TimeoutError):
                found = asked.result(_SCRAPE)
        registry = CollectorRegistry()
        registry.register(_Sum(added([families(self._own.registry.collect()), found])))
        return generate_latest(registry)

    def _unready(self) -> str | None:
        return "stopping" if self._stopping else self._supervisor.unready()

    def _describe(self) -> dict[str, Any]:
        supervisor = self._supervisor
        return {
            "engine": supervisor.scorer.reported.described,
            "indices": sorted(supervisor.config.indices),
            "workers": [each.pid for each in supervisor.workers],
            "scorer": supervisor.scorer.pid,
        }

    async def _drain(self) -> None:
        """Turn readiness, stop listening after the configured delay, and let running requests end."""
        settings = self._config.shutdown
        self._stopping = True
        _log.info("stopping", extra={"fields": {"delay": settings.delay, "grace_period": settings.grace_period}})
        await asyncio.sleep(settings.delay)
        await self._dealer.close()
        await self._supervisor.end_all()


class _Sum:
    def __init__(self, found: list[Family]) -> None:
        self._found = found

    def collect(self) -> list[Any]:
        return [each.metric() for each in self._found]
