"""A load generator: keep-alive HTTP/1.1 over plain sockets, so that the client's own cost stays small and equal."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from urllib.parse import urlsplit


class Connection:
    """One keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes) -> tuple[bytes, bytes]:
        """Send one search and give the answer's head and body."""
        if self._reader is None or self._writer is None:
            host, port = self._host.split(":")
            self._reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        return answer, await self._body(answer.lower())

    async def _body(self, head: bytes) -> bytes:
        if self._reader is None:
            raise RuntimeError("not connected")
        if b"\r\ncontent-length: " in head:
            return await self._reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r")[0]))
        pieces = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(pieces)

    @property
    def ended(self) -> bool:
        """Whether the server has closed it, as it does with connections that are idle for long."""
        return self._reader is not None and self._reader.at_eof()

    def close(self) -> None:
        """Close it."""
        if self._writer is not None:
            self._writer.close()


async def closed_loop(
    url: str, path: str, body: Callable[[], bytes], connections: int, seconds: float, think: float = 0.0
) -> tuple[list[float], list[bytes], float]:
    """Let each connection send one request after the other; give latencies, heads, and the time it took.

    Latencies and the time are seconds; ``think`` is the mean of those that a user takes before the next search.
    """
    latencies: list[float] = []
    heads: list[bytes] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        connection = Connection(url)
        while time.perf_counter() < end:
            started = time.perf_counter()
            head, _ = await connection.post(path, body())
            latencies.append(time.perf_counter() - started)
            heads.append(head)
            if think:
                await asyncio.sleep(random.uniform(0.5, 1.5) * think)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return latencies, heads, time.perf_counter() - began
