"""The client's side: aiohttp's HTTP/1.1 protocol, its own errors in Elasticsearch's shape."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from sidecar.http.bodies import StalledBodyError
from sidecar.http.response import RawResponse, error_response

_TOLD = 1000
"""Evictions of idle connections for each log line."""
_log = logging.getLogger("sidecar.proxy")


class Connections(web.Server):
    """Makes a protocol for each client connection."""

    draining = False
    """Whether connections are to end with their next answer."""

    def __init__(self, *args: Any, most: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._emptied = asyncio.Event()
        self._most = most
        self._by_use: OrderedDict[RequestHandler, None] = OrderedDict()
        self.evicted = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection; beyond ``most``, the one that has been idle for longest makes room for it."""
        super().connection_made(handler, transport)
        self._by_use[handler] = None
        if len(self._by_use) > self._most:
            self._make_room(handler)

    def used(self, handler: RequestHandler) -> None:
        """Note that a connection brought a request."""
        if handler in self._by_use:
            self._by_use.move_to_end(handler)

    def _make_room(self, newest: RequestHandler) -> None:
        """Close a connection: without a descriptor left, no client could be served, nor Elasticsearch reached."""
        idle = next((each for each in self._by_use if each is not newest and _is_idle(each)), None)
        if idle is None:
            return
        del self._by_use[idle]
        if self.evicted % _TOLD == 0:
            _log.warning("more than %d clients are connected: idle connections are closed", self._most)
        self.evicted += 1
        idle.force_close()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self.connections:
            self._emptied.clear()
            await self._emptied.wait()

    def end_idle(self) -> None:
        """Close the connections on which no request is under way; the others end with their answer."""
        for connection in self.connections:
            if _is_idle(connection):
                connection.force_close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection, at once or when its handler has ended."""
        super().connection_lost(handler, exc)
        self._by_use.pop(handler, None)
        if handler._task_handler is None:
            self._emptied.set()
        else:
            handler._task_handler.add_done_callback(lambda _: self._emptied.set())

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)


def _is_idle(connection: RequestHandler) -> bool:
    """Return whether no request is under way on a connection."""
    return connection._current_request is None and not connection._messages


class _Connection(RequestHandler):
    """One client connection."""

    __slots__ = ("_last_body",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_body: StreamReader = EMPTY_PAYLOAD

    @property
    def leaving(self) -> bool:
        """Whether the connection is to end with the answer that is next."""
        return isinstance(self._manager, Connections) and self._manager.draining

    def data_received(self, data: bytes) -> None:
        """Take bytes; a body in whose middle they stop being HTTP ends with an error.

        aiohttp queues that error behind the request and leaves the body open: its reader would wait for ever.
        """
        super().data_received(data)
        if not self._messages:
            return
        if isinstance(self._manager, Connections):
            self._manager.used(self)
        message, body = self._messages[-1]
        if isinstance(message, _ErrInfo):
            unfinished = self._messages[-2][1] if len(self._messages) > 1 else self._last_body
            if not unfinished.is_eof():
                unfinished.set_exception(web.RequestPayloadError(message.message))
                unfinished.feed_eof()
        self._last_body = body

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what aiohttp could not handle, but for the end of a broken body that nobody reads any more."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or made a handler raise; the connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: it can only be broken off")
        if isinstance(exc, StalledBodyError):
            answer = error_response(408, "request_timeout", str(exc))
        elif isinstance(exc, HttpProcessingError | web.RequestPayloadError):
            answer = _not_http(message or str(getattr(exc, "message", exc)))
        else:
            _log.error("a request could not be answered", exc_info=exc)
            answer = error_response(status, "internal_error", "the sidecar failed on this request; its log says more")
        answer.force_close()
        return answer


def _not_http(said: str) -> RawResponse:
    first = (said.strip().splitlines() or ["it cannot be parsed"])[0].rstrip(":")
    if " url " in first:
        first += "; what is not ASCII must be percent-encoded"
    return error_response(400, "bad_request", f"the request is not valid HTTP: {first}")
