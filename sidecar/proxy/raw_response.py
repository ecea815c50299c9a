"""An answer that says what Elasticsearch said and nothing more: no added `Server`, `Date` or `Content-Type`."""

from __future__ import annotations

from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict

from sidecar.proxy.headers import Headers, one_spelling


class RawResponse(web.StreamResponse):
    """A streamed answer with exactly the headers given, and the framing that the client's HTTP version needs."""

    def __init__(self, status: int, reason: str | None, headers: Headers) -> None:
        super().__init__(status=status, reason=reason, headers=CIMultiDict(one_spelling(headers)))

    async def _prepare_headers(self) -> None:
        """Frame the body by its length, by chunks, or (HTTP/1.0) by the connection's end."""
        request, writer = self._req, self._payload_writer
        if request is None or writer is None:
            raise RuntimeError("not prepared by a request")
        keep_alive = request.keep_alive if self._keep_alive is None else self._keep_alive
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
