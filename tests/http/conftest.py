"""A sidecar before a recording upstream: a stand-in, for what a real Elasticsearch cannot show.

That is: the very bytes it was sent, answers cut short, silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sidecar.app import Sidecar
from sidecar.config.model import Config

OK = b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: 2\r\n\r\nok"


class Recorder:
    """A stand-in upstream: keeps the bytes of each request and gives one answer to all."""

    def __init__(self, answer: bytes = OK) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.arrived = asyncio.Event()
        self.url = ""
        self._answer = answer
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until it ends."""
        self.connections += 1
        self._serving[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.bodies.append(await _body(reader, self.heads[-1]))
                self.arrived.set()
                await self.reply(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.gone.set()

    async def end(self) -> None:
        """Break what is still open."""
        for writer in self._serving:
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._serving.values()))

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer one request; tests override it."""
        writer.write(self._answer)
        await writer.drain()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = re.search(rb"(?im)^content-length: (\d+)\r$", head)
    if length:
        return await reader.readexactly(int(length[1]))
    if re.search(rb"(?im)^transfer-encoding: chunked\r$", head):
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body
    return b""


Upstream = TypeVar("Upstream", bound=Recorder)


@contextlib.asynccontextmanager
async def recording(upstream: Upstream) -> AsyncIterator[Upstream]:
    """Run a recorder on a free port."""
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 20)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.end()


@contextlib.asynccontextmanager
async def sidecar_before(
    *urls: str, indices: dict[str, Any] | None = None, model: Path | None = None, **upstream: Any
) -> AsyncIterator[Sidecar]:
    """Run a sidecar; without ``model`` none is loaded: what is proxied needs none."""
    listener = {"host": "127.0.0.1", "port": 0}
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "engine": {"model": str(model or "bundled")}}
    config = Config.model_validate(
        settings | {"upstream": {"urls": urls, "dialect": "elasticsearch", **upstream}, "indices": indices or {}}
    )
    sidecar = Sidecar(config)
    try:
        await sidecar.start()
        if model is not None:
            await sidecar.load()
        yield sidecar
    finally:
        await sidecar.close()


async def say(port: int, request: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(request)
    await writer.drain()
    try:
        return await until_closed(reader)
    finally:
        writer.close()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server closes, also where it resets what the client was still sending."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(1 << 16):
            answer += piece
    return answer


async def through(request: bytes, answer: bytes = OK) -> tuple[Recorder, bytes]:
    """Send one request through a sidecar, and give what the upstream saw and the client got."""
    async with recording(Recorder(answer)) as upstream, sidecar_before(upstream.url) as sidecar:
        got = await say(sidecar.port, request)
    return upstream, got


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    framing = [f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {target} HTTP/1.1", "Host: cluster.example:9200", "Connection: close", *framing, *headers]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode("latin-1") + body


def sent_on(head: bytes) -> list[bytes]:
    """Return the header lines of a forwarded request, less the `Via` that every proxy adds."""
    return [line for line in lines(head)[1:] if b"rescoring-sidecar-" not in line]


def lines(head: bytes) -> list[bytes]:
    """Return the lines of a head."""
    return head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")


def detail_of(caplog: pytest.LogCaptureFixture) -> str:
    """Return what the log says of an upstream failure that the client was not told."""
    fields = [vars(record).get("fields", {}) for record in caplog.records]
    return str(next(each["detail"] for each in fields if "detail" in each))
