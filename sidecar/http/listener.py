"""The listeners: aiohttp's HTTP server with Elasticsearch's limits, and strict about framing.

aiohttp's own defaults (8190-byte lines, 128 headers, bodies decompressed, 1 MiB reads) would refuse or change
what Elasticsearch accepts. Source: Elasticsearch reference, "HTTP settings"; RFC 9112 section 6.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidecar.config.listeners import Listener
from sidecar.http.binding import bind, inode_of, name, remove
from sidecar.http.connections import Connections
from sidecar.http.handover import lead_away
from sidecar.http.tls import ServerContext

_LIMITS: dict[str, Any] = {"max_line_size": 64 << 10, "max_field_size": 64 << 10, "max_headers": 1000}
_RESERVED = 2048
"""Descriptors that clients do not get: more than all places to Elasticsearch take by default."""
_GRACE = 10.0
_LINGER = 1.0
_IDLE = 75.0
"""Seconds in which a client must send a whole request head, counted from its last answer or its connecting."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A bound listener."""

    port: int
    runner: web.BaseRunner
    sockets: tuple[socket.socket, ...]
    listener: Listener
    inode: int | None
    context: ServerContext | None
    watch: asyncio.Task[None] | None

    @property
    def name(self) -> str:
        """What the listener is called in logs."""
        return name(self.listener, self.port)

    def stats(self) -> dict[str, float]:
        """Return the connections that are open and the requests so far, for the metrics."""
        server = self.runner.server
        if server is None:
            return {}
        found = {"client_connections": len(server.connections), "requests_total": server.requests_count}
        evicted = {"idle_clients_evicted_total": server.evicted} if isinstance(server, Connections) else {}
        return {**found, **evicted}

    async def take(self, connection: socket.socket) -> None:
        """Serve a client whose connection another process accepted."""
        connection.setblocking(False)
        server = self.runner.server
        if server is None:
            connection.close()
            return
        with contextlib.suppress(OSError):  # it broke off, or is no TLS
            await asyncio.get_running_loop().connect_accepted_socket(server, connection, ssl=self.context)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, end each connection with its next answer, and wait for running requests up to ``seconds``.

        Idle connections stay for a moment: one that is closed while its client sends a request is a failed request.
        """
        await lead_away(self.sockets)
        for site in [*self.runner.sites]:
            await site.stop()
        server = self.runner.server
        if not isinstance(server, Connections):
            return
        server.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(server.emptied(), _LINGER)
                server.end_idle()
                await server.emptied()

    async def close(self) -> None:
        """Stop accepting, let running requests end for a while, close the rest."""
        if self.watch is not None:
            self.watch.cancel()
        await self.runner.cleanup()
        remove(self.listener, self.inode)


Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Listen = Callable[[Handle, Listener], Awaitable[RunningServer]]


async def listen_for_clients(handle: Handle, listener: Listener, idle: float = _IDLE) -> RunningServer:
    """Bind the proxy's listener; clients that send no whole request head in ``idle`` seconds are let go.

    Raises:
        StartupError: the address is taken or not ours, or a TLS file cannot be used.
    """
    return await _listen(_clients(handle, idle), listener)


async def take_from_another(handle: Handle, listener: Listener) -> RunningServer:
    """Return a server that serves what it is told to ``take``, with the listener's TLS.

    Raises:
        StartupError: a TLS file cannot be used.
    """
    runner = _clients(handle, _IDLE)
    context = await _set_up(runner, listener)
    return RunningServer(0, runner, (), listener, None, context, _watch(context))


def _clients(handle: Handle, idle: float) -> web.ServerRunner:
    server = Connections(
        handle,
        handler_cancellation=True,  # a client that goes away must cancel its search in Elasticsearch
        auto_decompress=False,
        access_log=None,
        keepalive_timeout=idle,
        most=_most_clients(),
        **_LIMITS,
    )
    return web.ServerRunner(server, shutdown_timeout=_GRACE)


def _most_clients() -> int:
    """Return how many clients may be connected: some descriptors are left to reach Elasticsearch by, and for files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(limit // 2, limit - _RESERVED)


async def listen_for_admin(app: web.Application, listener: Listener) -> RunningServer:
    """Bind the admin listener.

    Raises:
        StartupError: the address is taken or not ours, or a TLS file cannot be used.
    """
    return await _listen(web.AppRunner(app, shutdown_timeout=_GRACE, access_log=None), listener)


async def _listen(runner: web.BaseRunner, listener: Listener) -> RunningServer:
    context = await _set_up(runner, listener)
    sockets = await bind(runner, listener, context)
    port = 0 if listener.socket is not None else sockets[0].getsockname()[1]
    return RunningServer(port, runner, sockets, listener, inode_of(listener), context, _watch(context))


async def _set_up(runner: web.BaseRunner, listener: Listener) -> ServerContext | None:
    context = None if listener.tls is None else ServerContext.of(listener.tls)
    await runner.setup()
    return context


def _watch(context: ServerContext | None) -> asyncio.Task[None] | None:
    return None if context is None else asyncio.create_task(context.watch())
