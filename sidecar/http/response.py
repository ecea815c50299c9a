"""An answer that says what Elasticsearch said and nothing more: no added `Server`, `Date` or `Content-Type`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from sidecar.elasticsearch.error_body import JSON_HEADERS, error_body
from sidecar.http.headers import Headers, head, one_spelling

_PIECE: Final = 256 << 10


class RawResponse(web.StreamResponse):
    """An answer with exactly the headers given, and the framing that the client's HTTP version needs.

    With ``body`` it sends itself, and the client has ``patience`` seconds to take each piece; without, pieces are
    written to it.
    """

    def __init__(
        self, status: int, reason: str | None, headers: Headers, body: bytes = b"", patience: float | None = None
    ) -> None:
        super().__init__(status=status, reason=reason, headers=CIMultiDict(one_spelling(headers)))
        self._send_headers_immediately = False  # the head leaves together with the first piece
        self._whole = body
        self._patience = patience

    async def _prepare_headers(self) -> None:
        """Frame the body by its length, by chunks, or (HTTP/1.0) by the connection's end."""
        request, writer = self._req, self._payload_writer
        if request is None or writer is None:
            raise RuntimeError("not prepared by a request")
        keep_alive = request.keep_alive if self._keep_alive is None else self._keep_alive
        keep_alive = keep_alive and not getattr(request.protocol, "leaving", False)
        if not self._must_be_empty_body:
            writer.length = self.content_length
            if writer.length is None and request.version >= HttpVersion11:
                writer.enable_chunking()
                self._headers[hdrs.TRANSFER_ENCODING] = "chunked"
            elif writer.length is None:
                keep_alive = False
        self._keep_alive = keep_alive
        if not keep_alive:
            self._headers[hdrs.CONNECTION] = "close"
        elif request.version < HttpVersion11:
            self._headers[hdrs.CONNECTION] = "keep-alive"

    async def _write_headers(self) -> None:
        """Hand the head to the writer as bytes: its own serializer loses those that are not UTF-8."""
        request, writer = self._req, self._payload_writer
        if request is None or not isinstance(writer, StreamWriter):
            raise RuntimeError("not prepared by a request")
        version = request.version
        start = f"HTTP/{version.major}.{version.minor} {self._status} {self._reason}"
        writer._headers_buf = head(start, self._headers.items())

    async def write_eof(self, data: bytes = b"") -> None:
        """End the answer, sending the whole body first where one was given: in pieces, each of which must be taken."""
        if self._eof_sent:
            return
        whole = data or (b"" if self._must_be_empty_body else self._whole)
        last = max(0, len(whole) - 1) // _PIECE * _PIECE
        for start in range(0, last, _PIECE):
            await self._within(self.write(whole[start : start + _PIECE]))
        await self._within(super().write_eof(whole[last:]))

    async def _within(self, writing: Awaitable[None]) -> None:
        """Wait until a client takes what is written; one that does not would keep the answer for ever."""
        try:
            async with asyncio.timeout(self._patience):
                await writing
        except TimeoutError as late:
            if self._req is not None and self._req.transport is not None:
                self._req.transport.abort()
            raise ConnectionError("a client did not take its answer within upstream.read_timeout") from late


def error_response(status: int, kind: str, reason: str, added: Headers = ()) -> RawResponse:
    """Return an error of the sidecar's own in Elasticsearch's shape."""
    body = error_body(status, kind, reason)
    headers = [
        *JSON_HEADERS,
        ("Content-Length", str(len(body))),
        *added,
    ]
    return RawResponse(status, None, headers, body)
