"""TLS to Elasticsearch: trusted by `ca_file`, refused without, taken with `verify: false`.

`loopback.pem` is a key and a self-signed certificate of localhost and 127.0.0.1, good for a hundred years and for
nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import StartupError
from tests.http.conftest import OK, Recorder, detail_of, lines, request, say, sidecar_before

_PEM = Path(__file__).parent / "loopback.pem"


@contextlib.asynccontextmanager
async def _over_tls(clients: str | None = None) -> AsyncIterator[tuple[str, Recorder]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(_PEM)
    context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
    upstream = Recorder()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", upstream
    server.close()
    await upstream.end()


@pytest.mark.parametrize("tls", [{"ca_file": str(_PEM)}, {"verify": False}])
async def test_a_certificate_that_is_trusted_or_not_verified(tls: dict[str, Any]) -> None:
    async with _over_tls() as (url, upstream), sidecar_before(url, tls=tls) as sidecar:
        got = await say(sidecar.port, request("/x"))
    assert lines(got)[0] == lines(OK)[0]
    assert lines(upstream.heads[0])[0] == b"GET /x HTTP/1.1"


async def test_an_unknown_certificate_is_a_502_and_the_log_says_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    async with _over_tls() as (url, upstream), sidecar_before(url) as sidecar:
        got = await say(sidecar.port, request("/x"))
    error = json.loads(got.partition(b"\r\n\r\n")[2])
    assert error["status"] == 502
    assert error["error"]["reason"] == "Elasticsearch cannot be reached: its certificate is not trusted"
    detail = detail_of(caplog)
    assert "certificate verify failed" in detail
    assert detail.endswith("; see upstream.tls.ca_file")
    assert upstream.heads == []


@pytest.mark.parametrize("verify", [True, False])
async def test_a_client_certificate_is_shown(verify: bool) -> None:
    tls = {"ca_file": str(_PEM), "cert_file": str(_PEM), "verify": verify}
    async with _over_tls(clients=str(_PEM)) as (url, _), sidecar_before(url, tls=tls) as sidecar:
        got = await say(sidecar.port, request("/x"))
    assert lines(got)[0] == lines(OK)[0]


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
async def test_a_file_that_is_not_there_stops_the_start(key: str) -> None:
    with pytest.raises(StartupError, match=rf"upstream\.tls\.{key}: /absent\.pem cannot be used: no such file"):
        async with sidecar_before("https://127.0.0.1:9200", tls={key: "/absent.pem"}):
            pass


async def test_https_to_a_port_without_tls_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with sidecar_before(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as sidecar:
        got = await say(sidecar.port, request("/x"))
    server.close()
    reason = json.loads(got.partition(b"\r\n\r\n")[2])["error"]["reason"]
    assert reason == "Elasticsearch cannot be reached: the TLS handshake failed"
    assert "does this port speak https?" in detail_of(caplog)
