"""Request bodies: read as they stream, never further than a limit, `100 Continue` said when they are wanted.

Their content codings, and those of answers, are taken off beside the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from aiohttp import HttpVersion11, web

from sidecar.elasticsearch.media_types import json_body
from sidecar.elasticsearch.override_stream import OverrideStream
from sidecar.http import content_coding
from sidecar.http.places import Pace
from sidecar.rescoring.aside import SMALL, aside

_LITTLE = 64 << 10
"""Bytes that are decoded on the event loop; a few bytes may stand for many."""


class StalledBodyError(web.RequestPayloadError):
    """A client stopped sending in mid-body."""


async def _next(request: web.BaseRequest, patience: float, pace: Pace) -> bytes:
    try:
        with pace:
            async with asyncio.timeout(pace.allowed(patience)):
                piece = await request.content.readany()
    except TimeoutError as late:
        over = pace.allowed(patience) < patience
        why = "was not whole within upstream.total_timeout" if over else f"stopped arriving for {patience:g} seconds"
        stalled = StalledBodyError(f"the request's body {why}")
        request.content.set_exception(stalled)
        raise stalled from late
    pace.moved(len(piece))
    return piece


def give_up(request: web.BaseRequest, why: str) -> None:
    """Break off the reading of a body: its client gets a 408."""
    request.content.set_exception(StalledBodyError(why))


async def _continue(request: web.BaseRequest) -> None:
    """Invite the body of a client that waits for it (RFC 9110 section 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").strip().lower() == "100-continue":
        writer = request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # the final answer is still to come


async def read_up_to(
    request: web.BaseRequest, limit: int, patience: float, pace: Pace, soon: float | None = None
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read a body whole; one above ``limit`` bytes is returned as a stream that starts with what was read.

    So is one that is not whole after ``soon`` seconds, or whose head says that it is longer: Elasticsearch may refuse
    it by its length, and its client wait for that. Raises ``StalledBodyError`` when nothing arrives for ``patience``
    seconds, or the request lasts too long.
    """
    if not request.body_exists:
        return b"", None
    content = request.content
    if content.is_eof() and content.exception() is None:
        return content.read_nowait(), None
    await _continue(request)
    if soon is None and (request.content_length or 0) > limit:
        return b"", _continued([], request, patience, pace)
    ends = None if soon is None else asyncio.get_running_loop().time() + soon
    read, size = list[bytes](), 0
    while (piece := await _by(ends, request, patience, pace)) is not None:
        read.append(piece)
        size += len(piece)
        if not piece:
            return b"".join(read), None
        if size > limit:
            break
    return b"", _continued(read, request, patience, pace)


async def without_override(body: AsyncIterator[bytes], headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Yield a body that is too large to be read, less our `ext.rescore`, as long as it was; none that is compressed."""
    plain = headers.get("content-encoding", "identity").strip().lower() == "identity"
    stream = OverrideStream() if plain and json_body(headers.get("content-type")) else None
    async for piece in body:
        passed = piece if stream is None else await aside(len(piece), stream.feed, piece)
        if passed:
            yield passed
    if stream is not None and (last := stream.end()):
        yield last


async def _by(ends: float | None, request: web.BaseRequest, patience: float, pace: Pace) -> bytes | None:
    """Return the next piece, or None when it has not come at that time of the event loop."""
    try:
        async with asyncio.timeout_at(ends):
            return await _next(request, patience, pace)
    except TimeoutError:
        return None


async def _continued(read: list[bytes], request: web.BaseRequest, patience: float, pace: Pace) -> AsyncIterator[bytes]:
    for piece in read:
        yield piece
    while piece := await _next(request, patience, pace):
        yield piece


async def decoded(raw: bytes, coding: str | None, limit: int) -> bytes:
    """Return a body less its content coding; more than a little of it is decoded beside the event loop.

    Raises:
        TooLargeError: it decodes to more than ``limit`` bytes.
        ValueError: the coding is unknown, or the body is broken.
    """
    if content_coding.is_identity(coding):
        return content_coding.decode(raw, coding, limit)
    if len(raw) <= SMALL and limit > _LITTLE:
        with contextlib.suppress(content_coding.TooLargeError):
            return content_coding.decode(raw, coding, _LITTLE)
    return await asyncio.to_thread(content_coding.decode, raw, coding, limit)
