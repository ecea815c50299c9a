"""Request bodies: read as they stream, never further than a limit, `100 Continue` said when they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import HttpVersion11, web

from sidecar.http.places import Pace


class StalledBodyError(web.RequestPayloadError):
    """A client stopped sending in mid-body."""


def of(request: web.BaseRequest, patience: float, pace: Pace) -> bytes | AsyncIterator[bytes] | None:
    """Return the body: whole where all of it is here already, else as it arrives; None where there is none.

    Reading it raises ``StalledBodyError`` when nothing arrives for ``patience`` seconds, or the request lasts too long.
    """
    if not request.body_exists:
        return None
    content = request.content
    if content.is_eof() and content.exception() is None:
        return content.read_nowait()
    return _pieces(request, patience, pace)


async def _pieces(request: web.BaseRequest, patience: float, pace: Pace) -> AsyncIterator[bytes]:
    await _continue(request)
    while piece := await _next(request, patience, pace):
        pace.moved(len(piece))
        yield piece


async def _next(request: web.BaseRequest, patience: float, pace: Pace) -> bytes:
    try:
        with pace:
            async with asyncio.timeout(pace.allowed(patience)):
                return await request.content.readany()
    except TimeoutError as late:
        over = pace.allowed(patience) < patience
        why = "was not whole within upstream.total_timeout" if over else f"stopped arriving for {patience:g} seconds"
        stalled = StalledBodyError(f"the request's body {why}")
        request.content.set_exception(stalled)
        raise stalled from late


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
    request: web.BaseRequest, limit: int, patience: float, pace: Pace
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read a body; one above ``limit`` bytes is given back as a stream that starts with what was read.

    One that says so in its head is not waited for: Elasticsearch may refuse it by its length, before any of it came.
    """
    stream = of(request, patience, pace)
    if stream is None or isinstance(stream, bytes):
        return stream or b"", None
    if (request.content_length or 0) > limit:
        return b"", stream
    read: list[bytes] = []
    size = 0
    async for piece in stream:
        read.append(piece)
        size += len(piece)
        if size > limit:
            return b"", _continued(read, stream)
    return b"".join(read), None


async def _continued(read: list[bytes], stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in read:
        yield piece
    async for piece in stream:
        yield piece
