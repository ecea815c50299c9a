"""The admin listener's pages: liveness, readiness, metrics, and what the engine chose.

They are served on an event loop of their own, so that they answer while the proxy's does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from sidecar.observability.metrics import Metrics
from sidecar.observability.watchdog import Watchdog


def make_admin_app(
    metrics: Metrics, watchdog: Watchdog, unready: Callable[[], str | None], describe: Callable[[], Mapping[str, Any]]
) -> web.Application:
    """Build the admin application; it listens apart from clients, on loopback unless told otherwise."""

    async def live(_: web.Request) -> web.Response:
        if watchdog.alive:
            return web.json_response({"status": "live"})
        return web.json_response({"status": "stalled", "seconds": round(watchdog.silent, 1)}, status=503)

    async def readiness(_: web.Request) -> web.Response:
        why = unready()
        return web.json_response({"status": why or "ready"}, status=200 if why is None else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def info(_: web.Request) -> web.Response:
        return web.json_response(dict(describe()))

    app = web.Application()
    app.add_routes(
        [
            web.get("/health/live", live),
            web.get("/health/ready", readiness),
            web.get("/metrics", scrape),
            web.get("/info", info),
        ]
    )
    return app
