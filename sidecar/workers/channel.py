"""What the first process and each of its children say to each other: small messages, and open sockets.

Both ends are the program's own, on a socket pair that no other process can reach; so messages are pickled.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

_HEAD = struct.Struct("!IB")
_READ = 1 << 18
_SOCKETS = 64
_WAITING = 256


class Channel:
    """One end. ``take`` is called with each message and its sockets, ``ended`` once the other end is gone."""

    def __init__(
        self, end: socket.socket, take: Callable[[Any, list[socket.socket]], None], ended: Callable[[], None]
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._take = take
        self._ended = ended
        self._read = bytearray()
        self._received: deque[int] = deque()
        self._unsent: deque[tuple[bytes, Sequence[socket.socket]]] = deque()
        self._loop = asyncio.get_running_loop()
        self.open = True
        self._loop.add_reader(end, self._readable)

    @property
    def free(self) -> bool:
        """Whether the other end keeps up with what it is sent."""
        return self.open and len(self._unsent) < _WAITING

    def send(self, message: Any, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a message; the sockets are the other end's from then on, and closed here."""
        if not self.open:
            _close_all(sockets)
            return
        body = pickle.dumps(message)
        self._unsent.append((_HEAD.pack(len(body), len(sockets)) + body, sockets))
        self._writable()

    def _writable(self) -> None:
        while self._unsent and self.open:
            data, sockets = self._unsent.popleft()
            try:
                sent = socket.send_fds(self._end, [data], [each.fileno() for each in sockets])
            except BlockingIOError:
                self._unsent.appendleft((data, sockets))
                break
            except OSError:
                self.close()
                return
            _close_all(sockets)
            if sent < len(data):
                self._unsent.appendleft((data[sent:], ()))
        if self._unsent:
            self._loop.add_writer(self._end, self._writable)
        else:
            self._loop.remove_writer(self._end)

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, _READ, _SOCKETS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._received += descriptors
        self._read += data
        if not data:
            self.close()
            return
        while (message := self._next()) is not None:
            self._take(*message)

    def _next(self) -> tuple[Any, list[socket.socket]] | None:
        if len(self._read) < _HEAD.size:
            return None
        size, count = _HEAD.unpack_from(self._read)
        if len(self._read) < _HEAD.size + size:
            return None
        body = bytes(self._read[_HEAD.size : _HEAD.size + size])
        del self._read[: _HEAD.size + size]
        sockets = [socket.socket(fileno=self._received.popleft()) for _ in range(count)]
        return pickle.loads(body), sockets  # noqa: S301 - from our own process

    def close(self) -> None:
        """Close this end."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        with contextlib.suppress(OSError):
            self._end.close()
        for _, sockets in self._unsent:
            _close_all(sockets)
        self._unsent.clear()
        self._ended()


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()
