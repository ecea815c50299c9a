"""TLS to clients, Unix sockets, and the admin token: real handshakes, real sockets.

`loopback.pem` and `other-loopback.pem` are keys with self-signed certificates of localhost, good for nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.errors import StartupError
from tests.http.conftest import OK, Recorder, lines, recording, request, say

_PEM, _OTHER = (Path(__file__).parent / name for name in ("loopback.pem", "other-loopback.pem"))
_LOOPBACK = {"host": "127.0.0.1", "port": 0}


@contextlib.asynccontextmanager
async def listening(upstream: Recorder, listen: dict[str, Any], **admin: Any) -> AsyncIterator[Sidecar]:
    """Run a sidecar that listens as told."""
    settings = {"listen": {**_LOOPBACK, **listen}, "admin": {**_LOOPBACK, **admin}}
    sidecar = Sidecar(Config.model_validate({**settings, "upstream": {"urls": [upstream.url]}}))
    try:
        await sidecar.start()
        yield sidecar
    finally:
        await sidecar.close()


def client_context(trusted: Path, shown: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trusted)
    if shown is not None:
        context.load_cert_chain(shown)
    return context


async def over_tls(port: int, context: ssl.SSLContext, sent: bytes = request("/x")) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()


async def served(port: int, context: ssl.SSLContext) -> bool:
    """Return whether a client is served: TLS 1.3 refuses its certificate only after its own handshake has ended."""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        return lines(await over_tls(port, context))[0] == lines(OK)[0]
    return False


async def test_clients_are_served_over_tls_and_plain_http_is_not() -> None:
    upload = request("/_bulk", method="POST", body=b"x" * 3_000_000)
    async with recording(Recorder()) as upstream, listening(upstream, {"tls": {"cert_file": str(_PEM)}}) as sidecar:
        assert sidecar.url == f"https://127.0.0.1:{sidecar.port}"
        answers = [await over_tls(sidecar.port, client_context(_PEM), sent) for sent in (request("/x"), upload)]
        assert await say(sidecar.port, request("/plain")) == b""
        with pytest.raises(ssl.SSLCertVerificationError):
            await over_tls(sidecar.port, client_context(_OTHER))
    assert [lines(answer)[0] for answer in answers] == [lines(OK)[0]] * 2
    assert upstream.bodies == [b"", b"x" * 3_000_000]


async def test_tls_older_than_1_2_is_refused() -> None:
    old = client_context(_PEM)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with recording(Recorder()) as upstream, listening(upstream, {"tls": {"cert_file": str(_PEM)}}) as sidecar:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await over_tls(sidecar.port, old)
    assert upstream.heads == []


async def test_clients_must_show_a_certificate_of_the_authority() -> None:
    tls = {"cert_file": str(_PEM), "client_ca_file": str(_OTHER)}
    async with recording(Recorder()) as upstream, listening(upstream, {"tls": tls}) as sidecar:
        assert lines(await over_tls(sidecar.port, client_context(_PEM, _OTHER)))[0] == lines(OK)[0]
        assert [await served(sidecar.port, client_context(_PEM, shown)) for shown in (None, _PEM)] == [False, False]
    assert len(upstream.heads) == 1


async def test_changed_files_count_from_the_next_handshake_and_unusable_ones_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, authority = tmp_path / "tls.pem", tmp_path / "ca.pem"
    shutil.copy(_PEM, file)
    shutil.copy(_PEM, authority)
    tls = {"cert_file": str(file), "client_ca_file": str(authority)}
    async with recording(Recorder()) as upstream, listening(upstream, {"tls": tls}) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port, ssl=client_context(_PEM, _PEM))
        file.write_text("half")
        await logged(caplog, "certificates not reloaded, the last good ones stay")
        assert lines(await over_tls(sidecar.port, client_context(_PEM, _PEM)))[0] == lines(OK)[0]
        shutil.copy(_OTHER, file)
        shutil.copy(_OTHER, authority)
        await logged(caplog, f"certificates reloaded from {file}")
        while not await served(sidecar.port, client_context(_OTHER, _OTHER)):
            await asyncio.sleep(0.05)  # two looks may have found one changed file each
        assert not await served(sidecar.port, client_context(_OTHER, _PEM))  # trusted before, and no more
        writer.write(request("/on-the-connection-of-before"))
        assert lines(await reader.read())[0] == lines(OK)[0]
        writer.close()


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    caplog.set_level("INFO")
    while not any(text in message for message in caplog.messages):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
async def test_a_tls_file_that_is_not_there_stops_the_start(key: str) -> None:
    tls = {"cert_file": str(_PEM), key: "/absent.pem"}
    with pytest.raises(StartupError, match=r"listen\.tls\.(cert_file|client_ca_file): .*/absent\.pem cannot be used"):
        async with recording(Recorder()) as upstream, listening(upstream, {"tls": tls}):
            pass


async def say_unix(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request("/x"))
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_unix_socket_is_listened_on_handed_over_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listen = {"socket": str(path), "reuse_port": True}
    async with recording(Recorder()) as upstream, listening(upstream, listen) as first:
        assert lines(await say_unix(path))[0] == lines(OK)[0]
        async with listening(upstream, listen) as second:
            await first.close()
            assert lines(await say_unix(path))[0] == lines(OK)[0]
            assert second.proxy_stats()["requests_total"] == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_unix_socket_that_nobody_answers_is_taken_over_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with recording(Recorder()) as upstream:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))  # of a process that was killed
        async with listening(upstream, {"socket": str(path)}):
            assert lines(await say_unix(path))[0] == lines(OK)[0]
            with pytest.raises(StartupError, match=r"unix:.*/s is in use by another process: .* another path"):
                async with listening(upstream, {"socket": str(path)}):
                    pass
        path.write_text("precious")
        with pytest.raises(StartupError, match="there is a file that is no socket"):
            async with listening(upstream, {"socket": str(path)}):
                pass
        assert path.read_text() == "precious"
        with pytest.raises(StartupError, match="cannot listen on unix:"):
            async with listening(upstream, {"socket": f"/absent/{'x' * 200}"}):
                pass


async def test_the_admin_token_is_asked_for_by_all_but_health() -> None:
    token = "geheim-é-123"  # noqa: S105 - made up
    async with recording(Recorder()) as upstream, listening(upstream, {}, token=token) as sidecar:
        port = sidecar.admin_port
        for path in ("/metrics", "/info", "/absent"):
            for wrong in ((), ("Authorization: Bearer wrong-token",), (f"Authorization: Basic {token}",)):
                assert lines(await say(port, request(path, *wrong)))[0] == b"HTTP/1.1 401 Unauthorized"
        right = "Authorization: Bearer " + token.encode().decode("latin-1")
        answers = [await say(port, request(path, right)) for path in ("/metrics", "/info")]
        health = await say(port, request("/health/live"))
    assert [lines(answer)[0] for answer in [*answers, health]] == [b"HTTP/1.1 200 OK"] * 3
    assert not any(token.encode() in answer for answer in answers)
