"""Hands a port over to the next process: two listen on it for a while (SO_REUSEPORT), and no connection is lost.

A connection that the kernel has given to a listener, and that was not accepted yet, is reset when the listener closes.
So new connections are first led to the other listener by a filter on the group of both, what has come meanwhile
is accepted, and only then is the listener closed. Source: socket(7), SO_ATTACH_REUSEPORT_CBPF.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterable

_ATTACH, _DETACH = 51, 68  # SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_REUSEPORT_BPF: Python does not name them
_RETURN = 0x06  # BPF_RET | BPF_K
_SETTLE = 0.1
"""Seconds for handshakes that were under way to end and be accepted."""


def share(sockets: Iterable[socket.socket]) -> None:
    """Take part in a group of listeners on equal terms, whatever the one that left before has set."""
    for each in sockets:
        _set(each, _DETACH, struct.pack("i", 0))


async def lead_away(sockets: Iterable[socket.socket]) -> None:
    """Lead new connections to the listener that joined last, and wait until all others are accepted.

    The group counts its listeners in the order they joined. Where there is no second one, the filter names none, and
    the kernel chooses as if there were no filter.
    """
    code = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 1))
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    for each in sockets:
        _set(each, _ATTACH, program)
    await asyncio.sleep(_SETTLE)


def _set(listener: socket.socket, option: int, value: bytes) -> None:
    if not sys.platform.startswith("linux") or listener.family == socket.AF_UNIX:
        return
    # asyncio's and uvloop's listening sockets take no options of unknown number; a duplicate is the same socket.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(listener.fileno())) as same:
        if same.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            same.setsockopt(socket.SOL_SOCKET, option, value)
