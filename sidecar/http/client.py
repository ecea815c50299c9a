"""Elasticsearch as the proxy sees it: pooled connections to one or several URLs.

A request moves on to the next URL while no connection could be opened; one that may be sent again also when a
connection turns out closed or its URL is found dead before it answered. Answers are never retried: clients retry 429,
502, 503 and 504 themselves, and multiplying that would hurt an overloaded cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from sidecar.config import model as config
from sidecar.elasticsearch.upstream import EVER, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.http import bodies, content_coding, failures, tls
from sidecar.http.balancing import Balancer
from sidecar.http.client_request import PATH, RawRequest
from sidecar.http.headers import Headers, decoded, one_spelling, value_of, without
from sidecar.http.liveness import UNAVAILABLE, DiedError, Liveness
from sidecar.http.places import Kind, Pace, Places
from sidecar.reasons import Reason

_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_LINE = 64 << 10
_JSON = ("Content-Type", "application/json")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    headers: CIMultiDict[str]
    body: Any
    timeout: float | None
    repeatable: bool


def _nobody() -> Pace:
    """Return the pace of a request that no client can hold up: its body is here, its answer is read by ourselves."""
    return Pace(lambda: None)


class Upstream:
    """Opens requests to Elasticsearch. ``start`` and ``close`` it on the event loop."""

    def __init__(self, settings: config.Upstream) -> None:
        self._settings = settings
        urls = [url.base for url in settings.urls]
        self._balancer = Balancer(urls, settings.dead_timeout)
        self._liveness = Liveness(self._balancer, self._answers, several=len(urls) > 1, after=settings.probe_after)
        self._places = {kind: Places(settings.max_connections, settings.pool_timeout) for kind in Kind}
        self._session: aiohttp.ClientSession | None = None
        self._open = 0
        self._failures = 0
        self._bases = {url: _base(url) for url in urls}

    async def start(self) -> None:
        """Build the connection pool.

        Raises:
            StartupError: a TLS file cannot be read.
        """
        context = tls.client_context(self._settings.tls)
        connector = aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=30)  # limited by places
        self._session = aiohttp.ClientSession(
            connector=connector,
            request_class=RawRequest,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            max_line_size=_LINE,
            max_field_size=_LINE,
            read_bufsize=1 << 18,
            timeout=self._timeout(self._settings.total_timeout),
        )
        # aiohttp would replay PUT and DELETE on a stale connection by itself; that is decided here.
        self._session._retry_connection = False

    def _timeout(self, total: float) -> aiohttp.ClientTimeout:
        settings = self._settings
        return aiohttp.ClientTimeout(
            total=total, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
        )

    async def close(self) -> None:
        """Stop probing and close the pool."""
        await self._liveness.close()
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: Any,
        *,
        read: bool = False,
        pace: Pace | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give the answer with its body still to be read.

        Args:
            method: the method.
            target: the raw request target, sent as it is.
            headers: end-to-end headers.
            body: None, bytes, or an async iterable of bytes.
            read: whether the request is a search, which changes nothing and may be sent again.
            pace: of the client that sends the body and takes the answer, where they stream.

        Raises:
            UpstreamError: no place became free, no URL could be connected to, or the answer did not come.
        """
        streamed = body is not None and not isinstance(body, bytes)
        kind = Kind.UPLOAD if streamed else Kind.SEARCH if read else Kind.OTHER
        repeatable = (read or method in ("GET", "HEAD")) and not streamed
        sent = CIMultiDict(one_spelling(headers))
        self._open += 1
        try:
            async with self._places[kind].one(pace or _nobody()):
                response = await self._send(_Request(method, target, sent, body, None, repeatable))
                try:
                    yield response
                finally:
                    response.release() if response.content.at_eof() else response.close()
        except UpstreamError:
            self._failures += 1
            raise
        finally:
            self._open -= 1

    def stats(self) -> dict[str, float]:
        """Return what is under way to Elasticsearch and what became of the rest, for the metrics."""
        places = self._places.values()
        return {
            "upstream_requests": self._open,
            "upstream_failures_total": self._failures,
            "upstream_dead_urls": self._balancer.dead,
            "slow_clients_evicted_total": sum(each.evicted for each in places),
            "pool_timeouts_total": sum(each.refused for each in places),
        }

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        problems: dict[str, Exception] = {}
        urls = self._balancer.order()
        for url in urls:
            leave = request.repeatable and url != urls[-1]
            try:
                async with self._liveness.waiting(url, leave=leave):
                    return self._sound(url, await self._once(url, request))
            except failures.NO_CONNECTION as refused:
                self._liveness.failed(url)
                problems[url] = refused
            except (DiedError, OSError, aiohttp.ClientError) as problem:  # a TimeoutError is an OSError
                self._liveness.suspect(url)
                problems[url] = problem
                if not leave or not (failures.closed(problem) or isinstance(problem, DiedError)):
                    raise failures.translated(problem, url) from problem
        raise failures.unreachable(problems)

    def _sound(self, url: str, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """Take an answer; one with a status that HTTP does not have, or that nobody asked for, is none."""
        if not 200 <= response.status <= 599:
            response.close()
            detail = f"{url} answered with the status {response.status}"
            raise UpstreamError("Elasticsearch's answer is not HTTP", reason=Reason.UPSTREAM_PROTOCOL, detail=detail)
        if response.status in UNAVAILABLE:
            self._liveness.suspect(url)
        else:
            self._liveness.answered(url)
        return response

    async def _answers(self, url: str) -> bool:
        """Return whether a URL answers a request without credentials, be it with a 401, within the connect timeout."""
        host = ("Host", self._bases[url][0].authority)
        probe = _Request("HEAD", "/", CIMultiDict([host]), None, self._settings.connect_timeout, repeatable=True)
        try:
            response = await self._once(url, probe)
        except (OSError, aiohttp.ClientError):  # a TimeoutError is an OSError
            return False
        response.close()
        return response.status not in UNAVAILABLE

    async def _once(self, url: str, request: _Request) -> aiohttp.ClientResponse:
        try:
            return await self._attempt(url, request)
        except (OSError, aiohttp.ServerDisconnectedError) as problem:  # a pooled connection, closed under us?
            if not request.repeatable or not failures.closed(problem):
                raise
            return await self._attempt(url, request)

    async def _attempt(self, url: str, request: _Request) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the upstream is not started")
        options: dict[str, Any] = {} if request.timeout is None else {"timeout": self._timeout(request.timeout)}
        base, prefix = self._bases[url]
        return await self._session.request(
            request.method,
            base,
            headers=_with_path(request.headers, prefix + request.target),
            data=request.body,
            allow_redirects=False,
            **options,
        )

    async def fetch(
        self, method: str, target: str, headers: Headers, body: bytes | None, limit: int, within: float = EVER
    ) -> UpstreamAnswer:
        """Return a whole answer, read and decoded ``within`` some seconds after its head.

        Raises:
            UpstreamError: it did not come, is larger than ``limit``, was cut short, or reading it took too long.
        """
        sent = [*without(headers, ("accept-encoding", "content-length", "content-encoding", "expect"))]
        if body and value_of(sent, "content-type") is None:
            sent.append(_JSON)
        async with self.open(method, target, sent, body or None, read=True) as response:
            began = time.monotonic()
            answered = decoded(response.raw_headers)
            try:
                async with asyncio.timeout(None if within == EVER else within) as patience:
                    whole = await _decoded(await _read(response, limit), value_of(answered, "content-encoding"), limit)
            except TimeoutError as late:
                if not patience.expired():
                    raise
                raise UpstreamError("reading the answer took too long", reason=Reason.DEADLINE) from late
        kept = without(answered, ("content-encoding", "content-length", "transfer-encoding", "connection"))
        return UpstreamAnswer(
            status=response.status,
            headers=kept,
            body=whole,
            reading=time.monotonic() - began,
        )


def _base(url: str) -> tuple[URL, str]:
    """Return where to connect, and the path that every target is put behind."""
    parsed = URL(url)
    return parsed.origin(), parsed.raw_path.rstrip("/")


def _with_path(headers: CIMultiDict[str], target: str) -> CIMultiDict[str]:
    sent = headers.copy()
    sent[PATH] = target
    return sent


async def _decoded(raw: bytes, coding: str | None, limit: int) -> bytes:
    try:
        return await bodies.decoded(raw, coding, limit)
    except content_coding.TooLargeError as problem:
        raise UpstreamError(f"the answer is larger than {limit} bytes", reason=Reason.ANSWER_TOO_LARGE) from problem
    except ValueError as problem:
        raise UpstreamError("the answer's coding is broken", reason=Reason.UNREADABLE_ANSWER) from problem


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    pieces, size = [], 0
    try:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > limit:
                raise UpstreamError(f"the answer is larger than {limit} bytes", reason=Reason.ANSWER_TOO_LARGE)
            pieces.append(piece)
    except TimeoutError as late:  # aiohttp's own is a ClientError, too
        raise UpstreamError("Elasticsearch did not answer in time", reason=Reason.UPSTREAM_TIMEOUT) from late
    except (aiohttp.ClientError, ConnectionError) as problem:
        raise failures.cut_short(problem) from problem
    return b"".join(pieces)
