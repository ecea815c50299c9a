"""Request bodies: read as they stream, never further than a limit, `100 Continue` said when they are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import HttpVersion11, web


def of(request: web.BaseRequest) -> bytes | AsyncIterator[bytes] | None:
    """Give the body: whole where all of it is here already, else as it arrives; None where there is none."""
    if not request.body_exists:
        return None
    content = request.content
    if content.is_eof() and content.exception() is None:
        return content.read_nowait()
    return _pieces(request)


async def _pieces(request: web.BaseRequest) -> AsyncIterator[bytes]:
    await _continue(request)
    async for piece in request.content.iter_any():
        yield piece


async def _continue(request: web.BaseRequest) -> None:
    """Invite the body of a client that waits for it (RFC 9110 section 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").strip().lower() == "100-continue":
        writer = request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # the final answer is still to come


async def read_up_to(request: web.BaseRequest, limit: int) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read a body; one above ``limit`` bytes is given back as a stream that starts with what was read."""
    stream = of(request)
    if stream is None or isinstance(stream, bytes):
        return stream or b"", None
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
