"""Searches whose answers are read whole: cut short, late, or not wanted any more. The upstream is a stand-in."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import pytest

from sidecar.http.response import RawResponse
from tests.checkpoints import make_checkpoint
from tests.http.conftest import Recorder, lines, recording, request, say, sidecar_before

_INDICES = {"articles": {"fields": ["body"], "timeout": "60s"}}
_SEARCH = request(
    "/articles/_search",
    "Content-Type: application/json",
    method="POST",
    body=b'{"query":{"match":{"body":"fox"}}}',
)
_HITS = b'{"took":1,"hits":{"max_score":1.0,"hits":[{"_id":"1","_score":1.0,"_source":{"body":"fox"}}]}}'
_CHUNK = b"%x\r\n%b\r\n" % (len(_HITS), _HITS)
_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real cross-encoder: without one a search is not fetched but streamed."""
    return make_checkpoint(tmp_path_factory.mktemp("model"))


class Cut(Recorder):
    """Sends what it was given, then ends the connection."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer and close."""
        await super().reply(writer)
        writer.close()


class Drips(Recorder):
    """Sends a head, then white space for ever: each read succeeds, the answer never ends."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Drip until the other side ends it."""
        writer.write(_CHUNKED)
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
        raise ConnectionResetError


class Silent(Recorder):
    """Takes requests and never answers."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_HITS) + 9, _HITS),
        _CHUNKED + _CHUNK,
    ],
    ids=["content-length", "chunked"],
)
async def test_a_fetched_answer_cut_short_is_a_502_though_its_json_is_whole(answer: bytes, model: Path) -> None:
    async with (
        recording(Cut(answer)) as upstream,
        sidecar_before(upstream.url, indices=_INDICES, model=model) as sidecar,
    ):
        got = await say(sidecar.port, _SEARCH)
    head, _, body = got.partition(b"\r\n\r\n")
    assert lines(head)[0].split()[1] == b"502"
    assert json.loads(body)["error"]["type"] == "upstream_cut"


async def test_the_same_answer_ended_properly_is_rescored(model: Path) -> None:
    async with (
        recording(Recorder(_CHUNKED + _CHUNK + b"0\r\n\r\n")) as upstream,
        sidecar_before(upstream.url, indices=_INDICES, model=model) as sidecar,
    ):
        got = await say(sidecar.port, _SEARCH)
    assert b"\r\nX-Rescore: reranked; " in got


class Stops(Recorder):
    """Sends what it was given, and no more."""


async def test_a_fetched_answer_that_stops_is_a_504(model: Path) -> None:
    stops = Stops(_CHUNKED + _CHUNK)
    async with (
        recording(stops) as upstream,
        sidecar_before(upstream.url, indices=_INDICES, model=model, read_timeout=0.2) as sidecar,
    ):
        got = await say(sidecar.port, _SEARCH)
    assert lines(got)[0] == b"HTTP/1.1 504 Gateway Timeout"
    assert b"\r\nX-Rescore: failed; reason=upstream_timeout\r\n" in got


async def test_a_widened_answer_that_cannot_be_unpacked_leaves_the_client_its_own(model: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    broken = Recorder(head + b"Content-Length: %d\r\n\r\n" % len(_HITS) + _HITS)
    async with recording(broken) as upstream, sidecar_before(upstream.url, indices=_INDICES, model=model) as sidecar:
        got = await say(sidecar.port, _SEARCH)
    assert lines(got)[0] == b"HTTP/1.1 200 OK"
    assert b"\r\nX-Rescore: passed; reason=unreadable_answer\r\n" in got
    assert got.endswith(_HITS)
    assert upstream.bodies[-1] == b'{"query":{"match":{"body":"fox"}}}'


async def test_a_fetched_answer_that_never_ends_is_a_504_after_the_total_timeout(model: Path) -> None:
    async with (
        recording(Drips()) as upstream,
        sidecar_before(upstream.url, indices=_INDICES, model=model, total_timeout=0.3) as sidecar,
    ):
        got = await say(sidecar.port, _SEARCH)
    assert lines(got)[0].split()[1] == b"504"
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "upstream_timeout"


class DripsOnce(Drips):
    """Drips its first answer; then it is well."""

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Drip, or answer."""
        if len(self.heads) == 1:
            await super().reply(writer)
        writer.write(_CHUNKED + _CHUNK + b"0\r\n\r\n")
        await writer.drain()


async def test_an_answer_that_is_not_read_before_the_deadline_is_asked_for_as_the_client_did(model: Path) -> None:
    indices = {"articles": {"fields": ["body"], "timeout": "100ms"}}
    async with (
        recording(DripsOnce()) as upstream,
        sidecar_before(upstream.url, indices=indices, model=model) as sidecar,
    ):
        got = await say(sidecar.port, _SEARCH)
    assert b"X-Rescore: failed; reason=deadline\r\n" in got
    assert _HITS in got
    assert len(upstream.bodies) == 2
    assert upstream.bodies[1] == b'{"query":{"match":{"body":"fox"}}}'


async def test_a_streamed_answer_that_never_ends_is_broken_off_after_the_total_timeout() -> None:
    async with recording(Drips()) as upstream, sidecar_before(upstream.url, total_timeout=0.3) as sidecar:
        got = await say(sidecar.port, request("/_cat"))
        await upstream.gone.wait()
    assert lines(got)[0] == b"HTTP/1.1 200 OK"
    assert not got.endswith(b"0\r\n\r\n")


async def test_a_client_that_goes_away_cancels_a_fetched_search_upstream(model: Path) -> None:
    async with (
        recording(Silent()) as upstream,
        sidecar_before(upstream.url, indices=_INDICES, model=model) as sidecar,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(_SEARCH)
        await upstream.arrived.wait()
        assert b'"size":100' in upstream.bodies[0].replace(b" ", b"")  # it is the widened search that waits
        writer.close()
        await asyncio.wait_for(upstream.gone.wait(), 30)


async def test_a_client_that_does_not_take_a_rescored_answer_is_let_go(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = _HITS[:-1] + b" " * (16 << 20) + b"}"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(large)
    let_go, within = asyncio.Event(), RawResponse._within

    async def noted(answer: RawResponse, writing: Awaitable[None]) -> None:
        try:
            await within(answer, writing)
        except ConnectionError:
            let_go.set()
            raise

    monkeypatch.setattr(RawResponse, "_within", noted)
    upstream = Recorder(head + large)
    async with recording(upstream), sidecar_before(upstream.url, indices=_INDICES, model=model, read_timeout=1) as own:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.connect(("127.0.0.1", own.port))
            client.sendall(_SEARCH)
            await let_go.wait()
            client.settimeout(20)
            got = b"".join(iter(partial(_received, client), b""))
    assert b"X-Rescore: reranked" in got
    assert len(got) < len(large)


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 20)
    except ConnectionResetError:
        return b""
