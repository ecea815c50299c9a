"""Accepts clients' connections, and deals them out to the workers in turn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from sidecar.config.listeners import Listener
from sidecar.http.binding import bind_alone, inode_of, name, remove
from sidecar.http.handover import lead_away
from sidecar.workers import messages
from sidecar.workers.process import Process

_AT_ONCE = 64
_PAUSE = 0.1
_NOT_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger("sidecar.workers")


class Dealer:
    """Deals from the moment it listens; while no worker takes any, connections wait to be accepted.

    One process accepts for all, so that each worker has its share, a worker that dies loses no connection that it was
    not handed, and the listener is handed over to the next program as that of a single process is.
    """

    def __init__(self, listener: Listener, takers: Callable[[], Sequence[Process]]) -> None:
        self._listener = listener
        self._takers = takers
        self._sockets: tuple[socket.socket, ...] = ()
        self._inode: int | None = None
        self._again: asyncio.TimerHandle | None = None
        self._dealt = 0

    async def listen(self) -> None:
        """Start listening.

        Raises:
            StartupError: the address is taken or not ours.
        """
        self._sockets = await bind_alone(self._listener)
        self._inode = inode_of(self._listener)
        self._resume()

    @property
    def port(self) -> int:
        """The port, 0 for a Unix socket, or before it listens."""
        return 0 if self._listener.socket is not None or not self._sockets else int(self._sockets[0].getsockname()[1])

    @property
    def name(self) -> str:
        """What the listener is called in logs."""
        return name(self._listener, self.port)

    def _resume(self) -> None:
        self._again = None
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each, self._accept, each)

    def _pause(self) -> None:
        """Look again in a moment: nobody takes connections now, or this process can hold no more."""
        self._stop_reading()
        self._again = asyncio.get_running_loop().call_later(_PAUSE, self._resume)

    def _stop_reading(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            takers = self._takers()
            if not takers:
                self._pause()
                return
            try:
                connection, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _NOT_OURS:
                    _log.warning("no connection can be accepted now: %s", problem)
                    self._pause()
                    return
                continue  # its client went away before it was accepted
            self._dealt += 1
            takers[self._dealt % len(takers)].send(messages.Take(), [connection])

    async def close(self) -> None:
        """Stop listening; what was accepted, or has come meanwhile, is still dealt out."""
        await lead_away(self._sockets)
        self._stop_reading()
        for each in self._sockets:
            self._accept(each)
        self._stop_reading()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.close()
        remove(self._listener, self._inode)
        self._sockets = ()
