"""The admin listener's endpoints: liveness, readiness, metrics, what the engine chose, and pages.

They are served on an event loop of their own, so that they answer while the proxy's does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from sidecar.observing.watchdog import Watchdog
from sidecar.serving.pages import MOST_SENT, OPEN, Running, routes


class Rendered(Protocol):
    """What has metrics to show."""

    def render(self) -> bytes:
        """Return them in the Prometheus text format."""
        ...


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="admin"'}


def make_admin_app(
    metrics: Rendered,
    watchdog: Watchdog,
    unready: Callable[[], str | None],
    describe: Callable[[], Mapping[str, Any]],
    running: Running,
) -> web.Application:
    """Build the admin application; it listens apart from clients, on loopback unless told otherwise.

    With a token in its configuration, all but health and the pages' files asks for it: probes send none, and say no
    more than whether the process is well.
    """

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

    token = running.config().admin.token
    middlewares = [] if token is None else [_asking_for(token)]
    app = web.Application(middlewares=middlewares, client_max_size=MOST_SENT)
    app.add_routes(
        [
            web.get("/health/live", live),
            web.get("/health/ready", readiness),
            web.get("/metrics", scrape),
            web.get("/info", info),
            *routes(running),
        ]
    )
    return app


def _asking_for(token: SecretStr) -> Middleware:
    expected = f"Bearer {token.get_secret_value()}".encode()

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if request.path.startswith("/health/") or request.path in OPEN or secrets.compare_digest(given, expected):
            return await handler(request)
        return web.json_response({"error": "a bearer token is needed"}, status=401, headers=_CHALLENGE)

    return ask
