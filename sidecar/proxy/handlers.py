"""Every request: searches on mapped indices go to the rescorer, all else streams through untouched."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web

from sidecar.config.model import Config
from sidecar.errors import UpstreamError
from sidecar.events import RescoreRecord
from sidecar.proxy import content_coding
from sidecar.proxy.headers import Headers, end_to_end, lowered, value_of, without
from sidecar.proxy.raw_response import RawResponse
from sidecar.proxy.upstream import Upstream
from sidecar.rescorer import Target
from sidecar.rescoring.answer import Answer
from sidecar.search.routes import NotSearch, Route, route
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

_log = logging.getLogger("sidecar.proxy")
_CHUNK = 1 << 18
_STATUS = {"upstream_timeout": 504}


class _Rescorer(Protocol):
    @property
    def config(self) -> Config: ...

    async def match(self, route: Route, headers: Mapping[str, str], fetch: Fetch) -> Target | PassThrough: ...

    async def answer(
        self, route: Route, target: Target, request: SearchRequest, fetch: Fetch
    ) -> Answer | PassThrough: ...


def make_proxy_app(upstream: Upstream, rescorer: _Rescorer, config: Config) -> web.Application:
    """Build the application that clients talk to."""
    del config  # the rescorer's is the current one
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{target:.*}", Handler(upstream, rescorer).handle)
    return app


class Handler:
    """Handles requests."""

    def __init__(self, upstream: Upstream, rescorer: _Rescorer) -> None:
        self._upstream = upstream
        self._rescorer = rescorer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; failures to reach Elasticsearch become errors in its own shape."""
        refused = _refused(request)
        if refused is not None:
            return refused
        try:
            return await self._handle(request)
        except UpstreamError as problem:
            _log.warning("%s", problem, extra={"fields": {"reason": problem.reason}})
            return error_response(_STATUS.get(problem.reason, 502), problem.reason, str(problem))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = _request_headers(request)
        target = request.raw_path
        found = route(request.method, target)
        if isinstance(found, NotSearch):
            return await self._forward(request, headers, _body(request), [])
        search = _Exchange(self._upstream, self._rescorer.config, headers)
        matched = await self._rescorer.match(found, search.lowered, search.fetch)
        if isinstance(matched, PassThrough):
            return await self._forward(request, headers, _body(request), _passed(matched.reason))
        return await self._search(request, search, found, matched)

    async def _search(
        self, request: web.Request, search: _Exchange, found: Route, matched: Target
    ) -> web.StreamResponse:
        raw, rest = await _read_up_to(request, search.config.max_search_body)
        if rest is not None:
            return await self._forward(request, search.headers, rest, _passed("body_too_large"))
        try:
            body = content_coding.decode(raw, search.lowered.get("content-encoding"), search.config.max_search_body)
        except ValueError as problem:
            too_large = isinstance(problem, content_coding.TooLargeError)
            reason = "body_too_large" if too_large else "body_encoding"
            return await self._forward(request, search.headers, raw, _passed(reason))
        asked = SearchRequest(method=request.method, target=request.raw_path, body=body, headers=search.lowered)
        outcome = await self._answer(found, matched, asked, search)
        if isinstance(outcome, Answer):
            return await _whole(request, outcome)
        headers, sent = search.headers, raw
        if outcome.body is not None:
            headers, sent = without(headers, ("content-encoding", "content-length")), outcome.body
        return await self._forward(request, headers, sent or None, _passed(outcome.reason))

    async def _answer(
        self, found: Route, matched: Target, asked: SearchRequest, search: _Exchange
    ) -> Answer | PassThrough:
        try:
            return await self._rescorer.answer(found, matched, asked, search.fetch)
        except UpstreamError as problem:
            if problem.reason == "answer_too_large":
                return PassThrough(problem.reason)
            raise

    async def _forward(
        self, request: web.Request, headers: Headers, body: bytes | AsyncIterator[bytes] | None, added: Headers
    ) -> web.StreamResponse:
        """Stream a request to Elasticsearch and its answer back."""
        async with self._upstream.open(request.method, request.raw_path, headers, body) as response:
            kept = end_to_end(_response_headers(response))
            answer = RawResponse(response.status, response.reason, [*kept, *added])
            await answer.prepare(request)
            try:
                async for piece in response.content.iter_any():
                    await answer.write(piece)
            except (aiohttp.ClientError, TimeoutError) as problem:
                return _broken(request, answer, problem)
            await answer.write_eof()
            return answer


class _Exchange:
    """One search's headers, and the function that asks Elasticsearch with them."""

    def __init__(self, upstream: Upstream, config: Config, headers: Headers) -> None:
        self.config = config
        self.headers = headers
        self.lowered = lowered(headers)
        self._upstream = upstream
        self._sent = without(headers, [name for name in self.lowered if name.startswith("x-rescore-")])

    async def fetch(self, method: str, target: str, body: bytes | None, timeout: float | None) -> UpstreamAnswer:
        """Ask Elasticsearch with the client's own headers and credentials."""
        return await self._upstream.fetch(method, target, self._sent, body, timeout, self.config.max_search_answer)


def _request_headers(request: web.Request) -> list[tuple[str, str]]:
    raw = [
        (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.raw_headers
    ]
    return without(end_to_end(raw), ("expect",))  # 100-continue was answered here


def _response_headers(response: aiohttp.ClientResponse) -> list[tuple[str, str]]:
    return [
        (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in response.raw_headers
    ]


def _body(request: web.Request) -> AsyncIterator[bytes] | None:
    return request.content.iter_any() if request.body_exists else None


async def _read_up_to(request: web.Request, limit: int) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read a body; one above ``limit`` is given back as a stream that starts with what was read."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return b"", _continued(pieces, request)
    return b"".join(pieces), None


async def _continued(pieces: list[bytes], request: web.Request) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    async for piece in request.content.iter_any():
        yield piece


def _passed(reason: str) -> list[tuple[str, str]]:
    return [("X-Rescore", RescoreRecord(outcome="passed", reason=reason).header())]


async def _whole(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send a whole answer, uncompressed: the sidecar sits next to its clients."""
    headers = [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in answer.headers]
    added = [("X-Rescore", answer.record.header()), ("Server-Timing", answer.record.server_timing())]
    length = [("Content-Length", str(len(answer.body)))]
    response = RawResponse(answer.status, None, [*end_to_end(headers), *added, *length])
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(answer.body)
    await response.write_eof()
    return response


def _broken(request: web.Request, answer: RawResponse, problem: Exception) -> web.StreamResponse:
    """Break the client's connection: an answer that was cut short must not look complete."""
    _log.warning("Elasticsearch's answer was cut short: %r", problem)
    if request.transport is not None:
        request.transport.abort()
    return answer


def _refused(request: web.Request) -> web.Response | None:
    """Refuse what a proxy must not forward (RFC 9110 sections 9.3.6 and 9.3.8, RFC 9112 section 6)."""
    target = request.raw_path
    coding = value_of(_request_headers_raw(request), "transfer-encoding")
    if request.method in ("TRACE", "CONNECT"):
        return error_response(405, "method_not_allowed", f"{request.method} is not forwarded")
    if not target.startswith("/") and not (request.method == "OPTIONS" and target == "*"):
        return error_response(400, "bad_request_target", "the request target must be a path on this server")
    if coding is not None and coding.strip().lower() != "chunked":
        return error_response(501, "transfer_coding", f"the transfer coding [{coding}] is not supported")
    if coding is not None and request.version < aiohttp.HttpVersion11:
        return error_response(400, "transfer_coding", "Transfer-Encoding needs HTTP/1.1")
    return None


def _request_headers_raw(request: web.Request) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]


def error_response(status: int, kind: str, reason: str) -> web.Response:
    """Give an error in Elasticsearch's shape; official clients insist on `X-Elastic-Product`."""
    cause = {"type": kind, "reason": reason}
    body = json.dumps({"error": {"root_cause": [cause], **cause}, "status": status})
    return web.Response(
        status=status,
        text=body,
        content_type="application/json",
        headers={"X-Elastic-Product": "Elasticsearch", "X-Rescore": f"failed; reason={kind}"},
    )
