"""The client's side: aiohttp's HTTP/1.1 protocol, its own errors in Elasticsearch's shape."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from sidecar.proxy.raw_response import error_response

_log = logging.getLogger("sidecar.proxy")


class Connections(web.Server):
    """Makes a protocol for each client connection."""

    def __call__(self) -> RequestHandler:
        """Give the protocol of a new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One client connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or made a handler raise; the connection ends with it."""
        if isinstance(exc, HttpProcessingError):
            reason = f"the request is not valid HTTP: {(message or exc.message).strip().splitlines()[0].rstrip(':')}"
            answer = error_response(status, "bad_request", reason)
        else:
            _log.error("a request could not be answered", exc_info=exc)
            answer = error_response(status, "internal_error", "the sidecar failed on this request; its log says more")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: it can only be broken off")
        answer.force_close()
        return answer
