"""Where a listener binds: a TCP address, or a Unix socket that takes the place of the one before it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from typing import Any

from aiohttp import web

from sidecar.config.listeners import Listener
from sidecar.errors import StartupError
from sidecar.http.handover import share
from sidecar.http.tls import ServerContext

_BACKLOG = 1024


async def bind(runner: web.BaseRunner, listener: Listener, context: ServerContext | None) -> tuple[socket.socket, ...]:
    """Start listening, and return the sockets.

    Raises:
        StartupError: the address is taken or not ours.
    """
    try:
        site = _site(runner, listener, context)
        await site.start()
    except OSError as problem:
        await runner.cleanup()
        raise StartupError(_why(listener, problem)) from problem
    server: Any = site._server  # the public API does not give the bound port of port 0
    share(server.sockets)
    return tuple(server.sockets)


async def bind_alone(listener: Listener) -> tuple[socket.socket, ...]:
    """Start listening without serving, and return the sockets: connections are handed to others.

    Raises:
        StartupError: the address is taken or not ours.
    """
    try:
        sockets = await _tcp_sockets(listener) if listener.socket is None else _unix_sockets(listener)
    except OSError as problem:
        raise StartupError(_why(listener, problem)) from problem
    share(sockets)
    return sockets


def _unix_sockets(listener: Listener) -> tuple[socket.socket, ...]:
    bound = _unix_socket(listener.socket or "", shared=listener.reuse_port)
    bound.setblocking(False)
    return (bound,)


async def _tcp_sockets(listener: Listener) -> tuple[socket.socket, ...]:
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol,
        listener.host,
        listener.port,
        reuse_address=True,
        reuse_port=listener.reuse_port or None,
        start_serving=False,
    )
    try:
        found = tuple(socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets)
    finally:
        server.close()
    for each in found:
        each.setblocking(False)
        each.listen(_BACKLOG)
    return found


def _site(runner: web.BaseRunner, listener: Listener, context: ServerContext | None) -> web.BaseSite:
    if listener.socket is not None:
        taken = _unix_socket(listener.socket, shared=listener.reuse_port)
        return web.SockSite(runner, taken, ssl_context=context, backlog=_BACKLOG)
    return web.TCPSite(
        runner,
        listener.host,
        listener.port,
        ssl_context=context,
        reuse_address=True,
        reuse_port=listener.reuse_port or None,
        backlog=_BACKLOG,
    )


def _unix_socket(path: str, *, shared: bool) -> socket.socket:
    """Bind beside the path and move there: clients meet the old listener or the new one, never none."""
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    if not shared and _answers(path):
        raise OSError(errno.EADDRINUSE, "in use")
    beside = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(beside)
        bound.listen(_BACKLOG)
        os.replace(beside, path)
    except OSError:
        bound.close()
        raise
    return bound


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def remove(listener: Listener, inode: int | None) -> None:
    """Remove the file of a Unix socket, unless another process has taken its place."""
    if listener.socket is not None and inode is not None and inode_of(listener) == inode:
        os.unlink(listener.socket)


def inode_of(listener: Listener) -> int | None:
    """Return what tells the file of a Unix socket from those of others."""
    with contextlib.suppress(OSError, TypeError):
        return os.lstat(listener.socket or "").st_ino
    return None


def name(listener: Listener, port: int) -> str:
    """Return what a listener is called in logs and messages."""
    return f"unix:{listener.socket}" if listener.socket is not None else f"{listener.host}:{port}"


def _why(listener: Listener, problem: OSError) -> str:
    where = name(listener, listener.port)
    if problem.errno == errno.EADDRINUSE:
        other = "port (0 takes a free one)" if listener.socket is None else "path"
        return f"{where} is in use by another process: stop it, or choose another {other}"
    return f"cannot listen on {where}: {problem.strerror or problem}"
