"""Why Elasticsearch did not answer: a sentence for the client, and the details for the log alone.

Clients never see where the cluster is: host names, addresses and certificates are in ``UpstreamError.detail``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

import aiohttp

from sidecar.errors import UpstreamError
from sidecar.reasons import Reason

NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_RESET = (errno.ECONNRESET, errno.EPIPE)


def closed(problem: Exception) -> bool:
    """Return whether a connection was closed or reset before anything was answered on it."""
    if isinstance(problem, NO_CONNECTION) or not isinstance(problem, OSError | aiohttp.ServerDisconnectedError):
        return False
    return isinstance(problem, aiohttp.ServerDisconnectedError | ConnectionError) or problem.errno in _RESET


def translated(problem: Exception, url: str) -> UpstreamError:
    """Return the error that an exception of aiohttp's stands for."""
    detail = f"{url}: {problem!r}"
    if closed(problem):
        said = "Elasticsearch closed the connection before it answered"
        return UpstreamError(said, reason=Reason.UPSTREAM_RESET, detail=detail)
    if isinstance(problem, TimeoutError):
        return UpstreamError("Elasticsearch did not answer in time", reason=Reason.UPSTREAM_TIMEOUT, detail=detail)
    return UpstreamError("Elasticsearch's answer could not be read", reason=Reason.UPSTREAM_PROTOCOL, detail=detail)


def cut_short(problem: Exception) -> UpstreamError:
    """Return the error for an answer that broke off."""
    return UpstreamError("Elasticsearch's answer was cut short", reason=Reason.UPSTREAM_CUT, detail=repr(problem))


def unreachable(problems: Mapping[str, Exception]) -> UpstreamError:
    """Return the error for URLs of which none could be connected to; the last says why."""
    last = [*problems.values()][-1]
    detail = "; ".join(f"{url}: {_why(problem)}" for url, problem in problems.items())
    return UpstreamError(f"Elasticsearch cannot be reached: {_kind(last)}", detail=detail)


def _kind(problem: Exception) -> str:
    """Return what a client may know: the kind of failure, without names."""
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(problem, aiohttp.ClientSSLError):
        return "the TLS handshake failed"
    return _system(problem)


def _why(problem: Exception) -> str:
    """Return what an operator needs to know: the system's own words, and what to change."""
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return f"{problem.certificate_error}; see upstream.tls.ca_file"
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return f"the host name {problem.host} is not known"
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        reason = (getattr(problem.os_error, "reason", None) or str(problem.os_error)).lower().replace("_", " ")
        return f"the TLS handshake failed ({reason}): does this port speak https?"
    return _system(problem)


def _system(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        return "no connection within upstream.connect_timeout"
    if isinstance(problem, aiohttp.ClientConnectorError) and problem.os_error.errno:
        return os.strerror(problem.os_error.errno).lower()
    return "no connection could be opened"
