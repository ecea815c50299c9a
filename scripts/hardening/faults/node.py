"""A relay before a real node that reads requests and answers, and can spoil the answer to any of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)  # lingering for no time: closing sends a reset (socket(7))
_OPAQUE = re.compile(rb"(?im)^x-opaque-id: (.*)\r$")
_LENGTH = re.compile(rb"(?im)^content-length: (\d+)\r$")


@dataclass(eq=False)
class Exchange:
    """One request of the sidecar's, and the connection that its answer goes to."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    port: int
    began: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The request target."""
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def who(self) -> str:
        """The `X-Opaque-Id` of the client's request that this one is for."""
        found = _OPAQUE.search(self.head)
        return found[1].decode("latin-1") if found else ""

    @property
    def part(self) -> str:
        """What the request is to the search it belongs to."""
        if "_field_caps" in self.path:
            return "resolving"
        if b'"ids":{"values"' in self.body:
            return "look-up"
        return "search" if "_search" in self.path or "_msearch" in self.path else "other"

    async def answered(self) -> bytes:
        """Return the node's whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(
            re.sub(rb"(?im)^connection: .*\r\n", b"", self.head)[:-2] + b"Connection: close\r\n\r\n" + self.body
        )
        answer = await reader.read()
        writer.close()
        return re.sub(rb"(?im)^connection: close\r\n", b"", answer, count=1)

    async def gone(self) -> None:
        """Wait until the sidecar has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass

    def reset(self) -> None:
        """Reset the connection."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None]]
"""Answers a request in its own way; it may close the connection."""


async def soundly(exchange: Exchange) -> None:
    """Answer as the node does."""
    exchange.writer.write(await exchange.answered())


@dataclass
class Seen:
    """What one client's request led to: what came back, and when the node was at work for it."""

    statuses: set[int] = field(default_factory=set)
    answers: list[bytearray] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """For how long the node was at work for the client's own search, overlaps counted once."""
        total, until = 0.0, 0.0
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total

    def bodies(self) -> list[bytes]:
        """Return the bodies of all answers."""
        return [unchunked(*_parted(bytes(answer))) for answer in self.answers]

    def said(self, body: bytes) -> bool:
        """Return whether the node answered with this body."""
        return body in self.bodies()


def _parted(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def unchunked(head: bytes, body: bytes) -> bytes:
    """Return a body without its chunks."""
    if b"chunked" not in head.lower():
        return body
    whole = b""
    with contextlib.suppress(ValueError):
        while (size := int(body.partition(b"\r\n")[0] or b"0", 16)) > 0:
            start = body.index(b"\r\n") + 2
            whole, body = whole + body[start : start + size], body[start + size + 2 :]
    return whole


class FaultyNode:
    """Listens before a node. ``behave`` is what it does with a request that ``where`` picks; all others pass."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.behave: Behaviour = soundly
        self.where: Callable[[Exchange], bool] = lambda _: True
        self.greet: Callable[[Exchange], None] | None = None
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.met = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        """Listen, the first time on a free port and later on the same."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break all connections."""
        if self._server is not None:
            self._server.close()
        self.break_all()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def break_all(self) -> None:
        """Break all connections."""
        for task, writer in self._serving.items():
            writer.transport.abort()
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            while not writer.is_closing():
                await self._one(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            del self._serving[task]
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        exchange = Exchange(head, await _body(head, reader), reader, writer, self._target)
        seen = self.seen[exchange.who]
        seen.requests.append((exchange.part, f"{head.split(b' ')[0].decode()} {exchange.path}"))
        noted = _Noting(writer, seen)
        exchange.writer = noted  # type: ignore[assignment]
        spoiled = self.where(exchange)
        self.met += spoiled
        try:
            await (self.behave if spoiled else soundly)(exchange)
            await writer.drain()
        finally:
            if exchange.part != "look-up":
                seen.spans.append((exchange.began, time.monotonic()))


class _Noting:
    """A writer that notes what it writes, and the status of it."""

    def __init__(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self._writer = writer
        self._statuses = seen.statuses
        self._answer = bytearray()
        seen.answers.append(self._answer)

    def write(self, data: bytes) -> None:
        """Write, and note it."""
        found = None if self._answer else re.match(rb"HTTP/1\.[01] (\d{3})", data)
        if found:
            self._statuses.add(int(found[1]))
        self._answer += data
        self._writer.write(data)

    def __getattr__(self, name: str) -> object:
        """Return what the writer itself has."""
        return getattr(self._writer, name)


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    length = _LENGTH.search(head)
    if length:
        return await reader.readexactly(int(length[1]))
    body = b""
    if b"chunked" in head.lower():
        while True:
            line = await reader.readuntil(b"\r\n")
            body += line + await reader.readexactly(int(line, 16) + 2)
            if int(line, 16) == 0:
                break
    return body
