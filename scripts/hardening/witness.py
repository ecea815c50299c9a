"""A stand-in for Elasticsearch that sees every byte: it parses strictly, keeps each request, and answers each."""

from __future__ import annotations

import asyncio
import contextlib
import re

_LINE = re.compile(rb"([A-Z-]+) ([\x21-\x7e]+) HTTP/1\.1")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*")
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
)


class Witness:
    """``requests`` holds the (method, target) of each request, ``faults`` what no proxy may send."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection until it ends; an unfinished request at its end is no fault."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._one(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        writer.close()

    async def _one(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        request = _LINE.fullmatch(line)
        wrong = [each for each in fields if not _FIELD.fullmatch(each)]
        if request is None or wrong:
            self.faults.append(f"not a request: {head!r}")
            raise ConnectionResetError
        self.requests.append((request[1].decode(), request[2].decode()))
        await self._body(dict(_framing(fields)), head, reader)
        writer.write(_ANSWER if request[1] != b"HEAD" else _ANSWER.partition(b"2\r\n")[0])

    async def _body(self, framing: dict[bytes, bytes], head: bytes, reader: asyncio.StreamReader) -> None:
        if len(framing) > 1:
            self.faults.append(f"two framings: {head!r}")
        if b"content-length" in framing:
            await reader.readexactly(int(framing[b"content-length"]))
        elif b"transfer-encoding" in framing:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)


def _framing(fields: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [field.lower().split(b": ", 1) for field in fields]
    return [(name, value) for name, value in pairs if name in (b"content-length", b"transfer-encoding")]
