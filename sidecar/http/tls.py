"""TLS contexts out of the configuration's files. No other module knows of ``ssl``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sidecar.config import model as config
from sidecar.config.listeners import ListenerTls
from sidecar.errors import StartupError

_log = logging.getLogger("sidecar.tls")


def client_context(settings: config.Tls) -> ssl.SSLContext:
    """Return the context for connections to Elasticsearch.

    Raises:
        StartupError: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as problem:
        raise _unusable("ca_file", settings.ca_file, problem) from problem
    try:
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as problem:
        files = " with ".join(filter(None, (settings.cert_file, settings.key_file)))
        raise _unusable("cert_file", files, problem) from problem
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class ServerContext(ssl.SSLContext):
    """A listener's context whose files are read again when they change; connections that are open keep what they have.

    Every handshake is led through the context that was read last. Changing a context in place could not take
    back an authority that it trusts.
    """

    _settings: ListenerTls
    _current: ssl.SSLContext
    _seen: bytes

    @classmethod
    def of(cls, settings: ListenerTls) -> ServerContext:
        """Read the files.

        Raises:
            StartupError: a file cannot be used.
        """
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._settings = settings
        context._seen = context._fingerprint()
        context._current = _server_context(settings)
        return context

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin a connection, with the files read last."""
        return self._current.wrap_bio(*args, **kwargs)

    async def watch(self, interval: float = 1.0) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Read the files again if they changed; what cannot be used is logged once and changes nothing."""
        before, self._seen = self._seen, self._fingerprint()
        if self._seen == before:
            return
        try:
            self._current = _server_context(self._settings)
        except StartupError as problem:
            _log.error("certificates not reloaded, the last good ones stay: %s", problem)
            return
        _log.info("certificates reloaded from %s", self._settings.cert_file)

    def _fingerprint(self) -> bytes:
        settings = self._settings
        found = blake2b()
        for file in filter(None, (settings.cert_file, settings.key_file, settings.client_ca_file)):
            with contextlib.suppress(OSError):
                found.update(Path(file).read_bytes())
        return found.digest()


def _server_context(settings: ListenerTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except OSError as problem:
        files = " with ".join(filter(None, (settings.cert_file, settings.key_file)))
        raise _unusable("cert_file", files, problem, "listen") from problem
    try:
        if settings.client_ca_file is not None:
            context.load_verify_locations(settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as problem:
        raise _unusable("client_ca_file", settings.client_ca_file, problem, "listen") from problem
    return context


def _no_password() -> str:
    """Keep OpenSSL from asking the terminal, for ever, for the password of an encrypted key."""
    return ""


def _unusable(key: str, files: str | None, problem: OSError, section: str = "upstream") -> StartupError:
    why = (problem.strerror or str(problem)).lower()  # ssl.SSLError is an OSError, too
    return StartupError(f"{section}.tls.{key}: {files} cannot be used: {why}")
