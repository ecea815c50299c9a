"""`sidecar serve` as a process that scripts replace and signal, and a client that counts each request that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import yaml


class Serving:
    """A running `sidecar serve`; its log is read to the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._said: list[str] = []
        self._listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self._said.append(line.decode())
            found = re.search(rb"listening on [^:]+:(\d+)", line)
            if found and not self._listening.done():
                self._listening.set_result(int(found[1]))
        if not self._listening.done():
            self._listening.set_exception(RuntimeError("".join(self._said)))

    async def port(self) -> int:
        """Wait until it listens, and return the port."""
        return await asyncio.shield(self._listening)

    async def end(self) -> int:
        """Send SIGTERM, wait for the end and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        await self._reading
        return await self.process.wait()


async def serve(settings: dict[str, Any]) -> Serving:
    """Start `sidecar serve` on loopback."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(settings, file)
        file.flush()
        words = (sys.executable, "-m", "sidecar", "serve", file.name)
        serving = Serving(await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE))
        await serving.port()
        return serving


@contextlib.asynccontextmanager
async def served(settings: dict[str, Any]) -> AsyncIterator[int]:
    """Run `sidecar serve` for the length of the block, and yield its port."""
    serving = await serve(settings)
    try:
        yield await serving.port()
    finally:
        await serving.end()


@dataclass
class Client:
    """Asks on one connection until it is told to close it, then on another, and never twice."""

    port: int
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    _at: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> dict[str, Any]:
        """Ask, and return the answer's body; anything but a 200 is a failure."""
        try:
            head, answer = await self._exchange(method, path, body, kind)
        except (OSError, EOFError) as problem:
            self.close()
            self.failures.append(f"{method} {path}: {problem!r}")
            return {}
        if not head.startswith(b"HTTP/1.1 200"):
            self.failures.append(f"{method} {path}: {head[:60]!r} {answer[:200]!r}")
            return {}
        self.answered += 1
        return dict(json.loads(answer or b"{}"))

    async def _exchange(self, method: str, path: str, body: bytes, kind: str) -> tuple[bytes, bytes]:
        if self._at is None:
            self._at = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        reader, writer = self._at
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower().replace(b"http/1.1", b"HTTP/1.1", 1)
        answer = await _body(reader, answered)
        if b"\r\nconnection: close" in answered:
            self.close()
        return answered, answer

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._at is not None:
            self._at[1].close()
            self._at = None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    if length:
        return await reader.readexactly(int(length[1]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
