"""The upstream's side: aiohttp's client request, sent as the bytes that came.

aiohttp's own request normalizes the target through yarl (`/a/../b`, a trailing `?`, `#`), and its serializer
drops header bytes that are not UTF-8. Here the target travels as the pseudo header ``:path`` and the head is
written by ``headers.head``; pooling, TLS, framing and reading stay aiohttp's.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp.http import StreamWriter
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict

from sidecar.http.headers import head

PATH = ":path"
_SHORT = 64 << 10


class _Writer(StreamWriter):
    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        self._headers_written = False
        self._headers_buf = head(status_line, headers.items())


class RawRequest(aiohttp.ClientRequest):
    """A request whose target and headers arrive as they were given; its headers must hold ``:path``."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Write the head, start writing the body, and give the response to be started."""
        writer = _Writer(conn.protocol, self.loop)
        if self.chunked is not None:
            writer.enable_chunking()
        target = self.headers.pop(PATH)
        await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        task = await self._start_body(writer, conn)
        response = self.response_class(
            self.method,
            self.original_url,
            writer=task,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )
        self.response = response  # type: ignore[assignment]  # aiohttp declares it by its first value, None
        return response

    async def _start_body(self, writer: StreamWriter, conn: Any) -> asyncio.Task[None] | None:
        """Send what is short with the head, in one packet; stream the rest from a task of its own."""
        short = self._short_body()
        if short is not None and not conn.protocol.writing_paused:
            if short:
                await writer.write(short, drain=False)
            writer.set_eof()
            conn.protocol.start_timeout()
            return None
        task = asyncio.ensure_future(self.write_bytes(writer, conn, self._get_content_length()))
        self._writer = task
        return task

    def _short_body(self) -> bytes | None:
        if not self._body:
            return b""
        value = self._body._value if isinstance(self._body, BytesPayload) else None
        return value if value is not None and len(value) <= _SHORT else None
