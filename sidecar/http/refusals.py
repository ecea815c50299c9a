"""Requests that a proxy must not forward, and the form of target that it may. Pure.

Two servers that frame a message differently let one client's bytes become another's request, so whatever is
not plain HTTP/1.x is refused. Source: RFC 9110 sections 9.3.6 and 9.3.8; RFC 9112 sections 3.2 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.http.headers import Headers

_VERSIONS = frozenset({(1, 0), (1, 1)})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: HTTP status, Elasticsearch-like error type, and a sentence."""

    status: int
    kind: str
    reason: str


def refusal(method: str, target: str, version: tuple[int, int], headers: Headers) -> Refusal | None:
    """Return why a request must not be forwarded, or None.

    Args:
        method: the method.
        target: the request target in origin form, or as it came where it has none.
        version: HTTP major and minor version.
        headers: all headers as they came.
    """
    if version not in _VERSIONS:
        return Refusal(505, "http_version_not_supported", "only HTTP/1.1 and HTTP/1.0 are served")
    if method in ("TRACE", "CONNECT"):
        return Refusal(405, "method_not_allowed", f"[{method}] is not forwarded")
    if not target.startswith("/") and (method, target) != ("OPTIONS", "*"):
        return Refusal(400, "bad_request_target", "the request target must be a path on this server")
    return _framing(version, headers) or _expectation(headers)


def _framing(version: tuple[int, int], headers: Headers) -> Refusal | None:
    codings = [value.strip().lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if not codings:
        return None
    if codings != ["chunked"]:
        return Refusal(501, "transfer_coding", f"the transfer coding [{', '.join(codings)}] is not supported")
    if version < (1, 1):
        return Refusal(400, "transfer_coding", "Transfer-Encoding needs HTTP/1.1")
    if any(name.lower() == "content-length" for name, _ in headers):
        return Refusal(400, "transfer_coding", "Content-Length and Transfer-Encoding exclude each other")
    return None


def _expectation(headers: Headers) -> Refusal | None:
    for name, value in headers:
        if name.lower() == "expect" and value.strip().lower() != "100-continue":
            return Refusal(417, "expectation_failed", f"the expectation [{value}] cannot be met")
    return None


def loop(headers: Headers, name: str) -> Refusal | None:
    """Return the refusal of a request that the proxy of this name has forwarded before, or None."""
    passed = [part.split() for key, value in headers if key.lower() == "via" for part in value.split(",")]
    if any(name in words for words in passed):
        return Refusal(508, "loop_detected", "the request has passed this sidecar before: is it its own upstream?")
    return None


def origin_form(target: str, host: str | None) -> str:
    """Return the path and query of an absolute-form target that names this very host; others stay as they are."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https") or host is None:
        return target
    authority, slash, path = rest.partition("/")
    return slash + path if slash and authority.lower() == host.lower() else target
