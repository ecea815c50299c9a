"""A TCP relay before Elasticsearch that can be restarted: to the sidecar it looks like a node that restarts."""

from __future__ import annotations

import asyncio
import contextlib


class Relay:
    """Relays one loopback port to another; ``restart`` breaks all connections and refuses new ones meanwhile."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen, the first time on a free port and later on the same."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break all connections."""
        if self._server is not None:
            self._server.close()
        for writer in [*self._writers]:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def restart(self, seconds: float) -> None:
        """Be away for some seconds."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node_reader, node_writer = await asyncio.open_connection("127.0.0.1", self._target)
        both = {writer, node_writer}
        task = asyncio.current_task()
        self._writers |= both
        self._tasks |= {task} if task else set()
        try:
            await asyncio.gather(_copy(reader, node_writer), _copy(node_reader, writer))
        finally:
            self._writers -= both
            self._tasks.discard(task)
            for each in both:
                each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.transport.abort()
