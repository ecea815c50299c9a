"""Asks the sidecar as its clients do: over its own listener, so that what a page shows is what clients get."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp

from sidecar.config.listeners import Listener

_TIMEOUT = 60.0
_AT_A_TIME = 4
_MOST = 64 << 20
_SHOWN = ("X-Rescore", "Server-Timing")


class NoAnswerError(Exception):
    """The sidecar's listener gave no answer that can be shown; the message says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer: its status, what it says of the rescoring, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def base_url(listener: Listener, port: int) -> str:
    """Return the URL by which clients on this machine reach a listener."""
    host = "127.0.0.1" if listener.host in ("0.0.0.0", "::", "") else listener.host  # noqa: S104
    scheme = "http" if listener.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class OwnClient:
    """Long-lived; used on one event loop."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._gate = asyncio.Semaphore(_AT_A_TIME)

    async def search(self, port: int, index: str, body: bytes, authorization: str | None) -> Shown:
        """Search an index.

        Raises:
            NoAnswerError: there is no answer, or it is too long.
        """
        target = f"{base_url(self._listener, port)}/{quote(index, safe=',*-_.<>:+')}/_search"
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "X-Opaque-Id": "compare-page"}
        headers |= {} if authorization is None else {"Authorization": authorization}
        try:
            async with asyncio.timeout(_TIMEOUT), self._gate, self._session() as session:
                return await _asked(session, target, headers, body)
        except TimeoutError as problem:
            raise NoAnswerError(f"no answer within {_TIMEOUT:g} s") from problem
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise NoAnswerError(f"the sidecar's own listener cannot be asked: {problem}") from problem

    def _session(self) -> aiohttp.ClientSession:
        # Its own certificate need not name this address: the connection never leaves the machine.
        path = self._listener.socket
        connector = aiohttp.TCPConnector(ssl=False) if path is None else aiohttp.UnixConnector(path)
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)


async def _asked(session: aiohttp.ClientSession, target: str, headers: Mapping[str, str], body: bytes) -> Shown:
    async with session.post(target, data=io.BytesIO(body), headers=headers, allow_redirects=False) as answer:
        found = bytearray()
        async for piece in answer.content.iter_any():
            found += piece
            if len(found) > _MOST:
                raise NoAnswerError(f"the answer is longer than {_MOST >> 20} MB: ask for fewer hits")
        told = {name: answer.headers[name] for name in _SHOWN if name in answer.headers}
        return Shown(answer.status, told, bytes(found))
