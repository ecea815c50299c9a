"""Every request: searches on mapped indices go to the rescorer, all else streams through untouched."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web

from sidecar.config.model import Config
from sidecar.errors import UpstreamError
from sidecar.events import RescoreRecord
from sidecar.proxy import bodies, content_coding, wire
from sidecar.proxy.headers import Headers, end_to_end, lowered, typed_as_json, value_of, without
from sidecar.proxy.raw_response import RawResponse, error_response
from sidecar.proxy.refusals import origin_form, refusal
from sidecar.proxy.upstream import Upstream
from sidecar.reasons import Reason
from sidecar.rescorer import Target
from sidecar.rescoring.answer import Answer
from sidecar.search.routes import NotSearch, Route, route
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

_log = logging.getLogger("sidecar.proxy")
_RESET = struct.pack("ii", 1, 0)  # lingering for no time: closing sends a reset (socket(7))
_STATUS = {Reason.UPSTREAM_TIMEOUT: 504}


class Rescorer(Protocol):
    """What the proxy asks about searches."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    async def match(self, route: Route, headers: Mapping[str, str], fetch: Fetch) -> Target | PassThrough:
        """Find the mapping of a search, before its body is read."""
        ...

    async def answer(self, route: Route, target: Target, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Answer one search, or say why it goes on as it came."""
        ...


class Handler:
    """Handles requests."""

    def __init__(self, upstream: Upstream, rescorer: Rescorer) -> None:
        self._upstream = upstream
        self._rescorer = rescorer

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; failures to reach Elasticsearch become errors in its own shape."""
        headers = wire.text(request.raw_headers)
        target = origin_form(request.raw_path, value_of(headers, "host"))
        refused = refusal(request.method, target, request.version, headers)
        if refused is not None:
            answer = error_response(refused.status, refused.kind, refused.reason)
            answer.force_close()  # where its body ends, and the next request begins, is not sure
            return answer
        exchange = _Exchange(self._upstream, self._rescorer.config, request, target, headers)
        try:
            return await self._handle(exchange)
        except UpstreamError as problem:
            broken = request.content.exception()
            if broken is not None:  # nothing is wrong with Elasticsearch: the client's body stopped being HTTP
                raise broken from problem
            _log.warning("%s", problem, extra={"fields": {"reason": problem.reason}})
            return error_response(_STATUS.get(problem.reason, 502), problem.reason, str(problem))

    async def _handle(self, exchange: _Exchange) -> web.StreamResponse:
        found = route(exchange.method, exchange.target)
        if isinstance(found, NotSearch):
            return await exchange.forward(exchange.body())
        matched = await self._rescorer.match(found, exchange.lowered, exchange.fetch)
        if isinstance(matched, PassThrough):
            return await exchange.forward(exchange.body(), matched.reason)
        return await self._search(exchange, found, matched)

    async def _search(self, exchange: _Exchange, found: Route, matched: Target) -> web.StreamResponse:
        limit = exchange.config.max_search_body
        raw, rest = await bodies.read_up_to(exchange.request, limit, exchange.patience)
        if rest is not None:
            return await exchange.forward(rest, Reason.BODY_TOO_LARGE)
        try:
            body = content_coding.decode(raw, exchange.lowered.get("content-encoding"), limit)
        except content_coding.TooLargeError:
            return await exchange.forward(raw, Reason.BODY_TOO_LARGE)
        except ValueError:
            return await exchange.forward(raw, Reason.BODY_ENCODING)
        asked = SearchRequest(method=exchange.method, target=exchange.target, body=body, headers=exchange.lowered)
        outcome = await self._rescorer.answer(found, matched, asked, exchange.fetch)
        if isinstance(outcome, Answer):
            return _whole(outcome)
        exchange.target = outcome.target or exchange.target
        if outcome.body is None:
            return await exchange.forward(raw, outcome.reason)
        return await exchange.forward_edited(outcome.body, outcome.reason)


class _Exchange:
    """One request, and what is asked of Elasticsearch for it: always with the client's own headers."""

    def __init__(
        self, upstream: Upstream, config: Config, request: web.BaseRequest, target: str, headers: Headers
    ) -> None:
        self.config = config
        self.request = request
        self.method = request.method
        self.target = target
        self._upstream = upstream
        self._headers = without(end_to_end(headers), ("expect",))  # 100-continue is answered here

    @property
    def lowered(self) -> Mapping[str, str]:
        """The first value of each header by lower-case name."""
        return lowered(self._headers)

    @property
    def patience(self) -> float:
        """Seconds that the client may neither send nor take anything while it is its turn."""
        return self.config.upstream.read_timeout

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        """Give the client's body: as it arrives, or whole where it is here."""
        return bodies.of(self.request, self.patience)

    async def fetch(self, method: str, target: str, body: bytes | None, timeout: float | None) -> UpstreamAnswer:
        """Ask Elasticsearch with the client's own headers and credentials."""
        own = typed_as_json(self._headers) if body and not self.request.body_exists else self._headers
        sent = [(name, value) for name, value in own if not name.lower().startswith("x-rescore-")]
        return await self._upstream.fetch(method, target, sent, body, timeout, self.config.max_search_answer)

    async def forward_edited(self, body: bytes, reason: Reason) -> web.StreamResponse:
        """Forward a body that differs from the client's: its length and coding are new."""
        self._headers = without(self._headers, ("content-encoding", "content-length"))
        return await self.forward(body, reason)

    async def forward(self, body: bytes | AsyncIterator[bytes] | None, reason: Reason | None = None) -> RawResponse:
        """Stream the request to Elasticsearch and its answer back.

        Raises:
            UpstreamError: nothing has been answered yet, and nothing will be.
        """
        added = [] if reason is None else [("X-Rescore", RescoreRecord(outcome="passed", reason=reason).header())]
        async with self._upstream.open(self.method, self.target, self._headers, body or None) as response:
            kept = end_to_end(wire.text(response.raw_headers))
            answer = RawResponse(response.status, response.reason, [*kept, *added])
            await answer.prepare(self.request)
            try:
                await self._copy(response.content, answer)
            except (aiohttp.ClientError, OSError) as problem:
                self._break_off(f"Elasticsearch's answer was cut short: {problem!r}")
                raise ConnectionError("the client's connection was broken off") from problem
            return answer

    async def _copy(self, content: aiohttp.StreamReader, answer: RawResponse) -> None:
        async for piece in content.iter_any():
            # The last piece leaves together with the answer's end: one packet for a small answer, not two.
            writing = answer.write_eof(piece) if content.at_eof() else answer.write(piece)
            try:
                async with asyncio.timeout(self.patience):
                    await writing
            except TimeoutError:  # it would hold a connection to Elasticsearch for as long as it likes
                self._break_off("a client did not take its answer within upstream.read_timeout")
                raise
        await answer.write_eof()

    def _break_off(self, why: str) -> None:
        """Reset the client's connection, if it is still there: an answer cut short must not look complete.

        An ordinary close would end the answer properly for an HTTP/1.0 client, whose bodies end with the connection.
        """
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            _log.warning("%s", why)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()


def _whole(answer: Answer) -> RawResponse:
    """Give a whole answer, uncompressed: the sidecar sits next to its clients."""
    headers = end_to_end(wire.text(answer.headers))
    added = [("X-Rescore", answer.record.header()), ("Server-Timing", answer.record.server_timing())]
    length = [("Content-Length", str(len(answer.body)))]
    return RawResponse(answer.status, None, [*headers, *added, *length], answer.body)
