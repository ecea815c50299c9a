"""The listeners: aiohttp's HTTP server with Elasticsearch's limits, and strict about framing.

aiohttp's own defaults (8190-byte lines, 128 headers, bodies decompressed, 1 MiB reads) would refuse or change
what Elasticsearch accepts. Source: Elasticsearch reference, "HTTP settings"; RFC 9112 section 6.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidecar.config.model import Listener
from sidecar.errors import StartupError
from sidecar.proxy.connections import Connections

_LIMITS: dict[str, Any] = {"max_line_size": 64 << 10, "max_field_size": 64 << 10, "max_headers": 1000}
_GRACE = 10.0
_IDLE = 75.0
"""Seconds in which a client must send a whole request head, counted from its last answer or its connecting."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A bound listener."""

    port: int
    runner: web.BaseRunner

    def stats(self) -> dict[str, float]:
        """Give the connections that are open and the requests so far, for the metrics."""
        server = self.runner.server
        if server is None:
            return {}
        return {"client_connections": len(server.connections), "requests_total": server.requests_count}

    async def close(self) -> None:
        """Stop accepting, let running requests end for a while, close the rest."""
        await self.runner.cleanup()


async def listen_for_clients(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], listener: Listener, idle: float = _IDLE
) -> RunningServer:
    """Bind the proxy's listener; clients that send no whole request head in ``idle`` seconds are let go.

    Raises:
        StartupError: the address is taken or not ours.
    """
    server = Connections(
        handle,
        handler_cancellation=True,  # a client that goes away must cancel its search in Elasticsearch
        auto_decompress=False,
        access_log=None,
        keepalive_timeout=idle,
        **_LIMITS,
    )
    return await _bind(web.ServerRunner(server, shutdown_timeout=_GRACE), listener)


async def listen_for_admin(app: web.Application, listener: Listener) -> RunningServer:
    """Bind the admin listener.

    Raises:
        StartupError: the address is taken or not ours.
    """
    return await _bind(web.AppRunner(app, shutdown_timeout=_GRACE, access_log=None), listener)


async def _bind(runner: web.BaseRunner, listener: Listener) -> RunningServer:
    await runner.setup()
    site = web.TCPSite(runner, listener.host, listener.port, reuse_address=True, backlog=1024)
    try:
        await site.start()
    except OSError as problem:
        await runner.cleanup()
        raise StartupError(_why(listener, problem)) from problem
    server: Any = site._server  # the public API does not give the bound port of port 0
    return RunningServer(server.sockets[0].getsockname()[1], runner)


def _why(listener: Listener, problem: OSError) -> str:
    where = f"{listener.host}:{listener.port}"
    if problem.errno == errno.EADDRINUSE:
        return f"{where} is in use by another process: stop it, or choose another port (0 takes a free one)"
    return f"cannot listen on {where}: {problem.strerror or problem}"
