"""TLS contexts out of the configuration's files. No other module knows of ``ssl``."""

from __future__ import annotations

import ssl

from sidecar.config import model as config
from sidecar.errors import StartupError


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


def _unusable(key: str, files: str | None, problem: OSError) -> StartupError:
    why = (problem.strerror or str(problem)).lower()  # ssl.SSLError is an OSError, too
    return StartupError(f"upstream.tls.{key}: {files} cannot be used: {why}")
