"""Every request: searches on mapped indices go to the rescorer, all else streams through untouched."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web

from sidecar.config.model import Config
from sidecar.elasticsearch.routes import Route
from sidecar.elasticsearch.upstream import EVER, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.http import bodies, content_coding
from sidecar.http.client import Upstream
from sidecar.http.headers import Headers, decoded, end_to_end, lowered, typed_as_json, value_of, without
from sidecar.http.places import Pace
from sidecar.http.refusals import loop, origin_form, refusal
from sidecar.http.response import RawResponse, error_response
from sidecar.observing.records import RescoreObserver, RescoreRecord, SearchStart, Tell, watched
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.outcome import Answered, Passed, Rejected
from sidecar.rescoring.rescorer import Rescorer
from sidecar.rescoring.services import Handler as EndpointHandler

_log = logging.getLogger("sidecar.proxy")
_RESET = struct.pack("ii", 1, 0)  # lingering for no time: closing sends a reset (socket(7))
_STATUS = {Reason.UPSTREAM_TIMEOUT: 504, Reason.UPSTREAM_BUSY: 429}
_WHOLE = 64 << 10
"""Bytes of a body that are waited for before a request takes a place among those under way to Elasticsearch."""
_SOON = 1.0
"""Seconds for that of a longer body: its client may wait to be told that it is too long."""
_SLOW = "the client is slow, and others need its connection to Elasticsearch"


class Handler:
    """Handles requests. Every search is told to the observer here, whoever decided what becomes of it."""

    def __init__(self, upstream: Upstream, rescorer: Rescorer, observer: RescoreObserver) -> None:
        self._name = f"rescoring-sidecar-{secrets.token_hex(4)}"
        self._upstream = upstream
        self._rescorer = rescorer
        self._observer = observer

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; failures to reach Elasticsearch become errors in its own shape."""
        headers = decoded(request.raw_headers)
        target = origin_form(request.raw_path, value_of(headers, "host"))
        refused = refusal(request.method, target, request.version, headers) or loop(headers, self._name)
        if refused is not None:
            answer = error_response(refused.status, refused.kind, refused.reason)
            answer.force_close()  # where its body ends, and the next request begins, is not sure
            return answer
        version = f"{request.version.major}.{request.version.minor}"
        forwarded = [*headers, ("Via", f"{version} {self._name}")]  # RFC 9110 section 7.6.3
        exchange = _Exchange(self._upstream, self._rescorer.config, request, target, forwarded)
        found = route(exchange.method, exchange.target)
        try:
            if found is None:
                return await exchange.forward()
            with watched(self._observer, SearchStart(endpoint=found.endpoint.name, headers=exchange.headers)) as tell:
                exchange.repeatable = found.endpoint.repeatable
                return await self._search(exchange, found, tell)
        except UpstreamError as problem:
            return _rejected(exchange.unanswered(problem), searched=False)

    async def _search(self, exchange: _Exchange, found: Route[EndpointHandler], tell: Tell) -> web.StreamResponse:
        try:
            outcome = await self._rescorer.search(found, exchange)
            if isinstance(outcome, Passed):
                return await exchange.forward(outcome, tell)
        except UpstreamError as problem:
            outcome = exchange.unanswered(problem)
        tell(outcome.record)
        return _rejected(outcome) if isinstance(outcome, Rejected) else _whole(outcome, exchange.patience)


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
        self._body: bytes | AsyncIterator[bytes] | None = None
        self._headers = without(end_to_end(headers), ("expect",))  # 100-continue is answered here
        self._pace = Pace(self._make_room, total=config.upstream.total_timeout)
        self._answering = False
        self.repeatable = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The first value of each header by lower-case name."""
        return lowered(self._headers)

    @property
    def client(self) -> str:
        """The address that the request comes from."""
        return self.request.remote or ""

    @property
    def patience(self) -> float:
        """Seconds that the client may neither send nor take anything while it is its turn."""
        return self.config.upstream.read_timeout

    async def read(self) -> bytes | Reason:
        """Read and decode the client's body, or give the reason why it can only be streamed."""
        limit = self.config.max_search_body
        raw, rest = await bodies.read_up_to(self.request, limit, self.patience, self._pace)
        self._body = raw if rest is None else bodies.without_override(rest, self.headers)
        if rest is not None:
            return Reason.BODY_TOO_LARGE
        try:
            return await bodies.decoded(raw, self.headers.get("content-encoding"), limit)
        except content_coding.TooLargeError:
            return Reason.BODY_TOO_LARGE
        except ValueError:
            return Reason.BODY_ENCODING

    async def fetch(self, method: str, target: str, body: bytes | None, /, within: float = EVER) -> UpstreamAnswer:
        """Ask Elasticsearch with the client's own headers and credentials."""
        own = typed_as_json(self._headers) if body and not self.request.body_exists else self._headers
        sent = [(name, value) for name, value in own if not name.lower().startswith("x-rescore-")]
        return await self._upstream.fetch(method, target, sent, body, self.config.max_search_answer, within)

    async def forward(self, passed: Passed | None = None, tell: Tell | None = None) -> RawResponse:
        """Stream the request to Elasticsearch and its answer back; tell what became of a search once it is answered.

        Raises:
            UpstreamError: nothing has been answered yet, and nothing will be.
        """
        if passed is not None:
            self._edit(passed)
        body = await self._unsent() or None
        async with self._upstream.open(
            self.method, self.target, self._headers, body, read=self.repeatable, pace=self._pace
        ) as response:
            if passed is not None and tell is not None:
                tell(passed.record)
            added = [] if passed is None else [("X-Rescore", passed.record.header())]
            return await self._stream(response, added)

    def _edit(self, passed: Passed) -> None:
        self.target = passed.target or self.target
        if passed.body is not None:  # its length and coding are not the client's
            self._body = passed.body
            self._headers = without(self._headers, ("content-encoding", "content-length"))

    async def _unsent(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body to forward: whole where it is short, else what was read and the rest as it arrives."""
        if self._body is None:
            short = self.request.content_length is not None and self.request.content_length <= _WHOLE
            soon = None if short else _SOON
            raw, rest = await bodies.read_up_to(self.request, _WHOLE, self.patience, self._pace, soon)
            self._body = raw if rest is None else rest
        return self._body

    def _make_room(self) -> None:
        if self._answering:
            self._break_off(_SLOW)
        else:
            bodies.give_up(self.request, _SLOW)

    async def _stream(self, response: aiohttp.ClientResponse, added: Headers) -> RawResponse:
        kept = end_to_end(decoded(response.raw_headers))
        answer = RawResponse(response.status, response.reason, [*kept, *added])
        await answer.prepare(self.request)
        self._answering = True
        try:
            await self._copy(response.content, answer)
        except (aiohttp.ClientError, OSError) as problem:
            self._break_off(f"Elasticsearch's answer was cut short: {problem!r}")
            raise ConnectionError("the client's connection was broken off") from problem
        return answer

    def unanswered(self, problem: UpstreamError) -> Rejected:
        """Return what the client gets instead of an answer; raise where its own body is what broke."""
        broken = self.request.content.exception()
        if broken is not None:  # nothing is wrong with Elasticsearch: the client's body stopped being HTTP
            raise broken from problem
        _log.warning("%s", problem, extra={"fields": {"reason": problem.reason, "detail": problem.detail}})
        record = RescoreRecord(outcome="failed", reason=problem.reason)
        status = _STATUS.get(problem.reason, 502)
        return Rejected(record=record, status=status, kind=problem.reason, message=str(problem))

    async def _copy(self, content: aiohttp.StreamReader, answer: RawResponse) -> None:
        async for piece in content.iter_any():
            # The last piece leaves together with the answer's end: one packet for a small answer, not two.
            writing = answer.write_eof(piece) if content.at_eof() else answer.write(piece)
            self._pace.moved(len(piece))
            try:
                with self._pace:
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


def _whole(answer: Answered, patience: float) -> RawResponse:
    """Return a whole answer, uncompressed: the sidecar sits next to its clients."""
    headers = end_to_end(answer.headers)
    length = [("Content-Length", str(len(answer.body)))]
    return RawResponse(answer.status, None, [*headers, *_told(answer.record), *length], answer.body, patience)


def _rejected(outcome: Rejected, *, searched: bool = True) -> RawResponse:
    added = _told(outcome.record) if searched else []
    added += [("Retry-After", "1")] if outcome.status == 429 else []
    return error_response(outcome.status, outcome.kind, outcome.message, added)


def _told(record: RescoreRecord) -> list[tuple[str, str]]:
    return [("X-Rescore", record.header()), ("Server-Timing", record.server_timing())]
