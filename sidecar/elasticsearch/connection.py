"""Connections of the commands, for which the sidecar is a client itself: through the official client.

That client refuses all but its own product, and asks for the media type of its own version. Both are for programs that
use all of it; the commands use what Elasticsearch since 8 and OpenSearch have in common.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from elastic_transport import AiohttpHttpNode, HttpHeaders
from elastic_transport.client_utils import DEFAULT, DefaultType
from elasticsearch import AsyncElasticsearch

from sidecar.config.model import Tls
from sidecar.config.urls import split_credentials

_LINES = "x-ndjson"


class _AnyProduct(AiohttpHttpNode):
    """Speaks plain JSON, and takes every server for one that the client knows."""

    async def perform_request(  # type: ignore[override]  # the base class says what comes of awaiting it
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> Any:
        """Send one request."""
        plain = HttpHeaders({name: _plain(name, value) for name, value in (headers or {}).items()})
        answer = await super().perform_request(method, target, body, plain, request_timeout)
        told = HttpHeaders({**answer.meta.headers, "x-elastic-product": "Elasticsearch"})
        return answer._replace(meta=replace(answer.meta, headers=told))


def _plain(name: str, value: str) -> str:
    """Return the value of a header, of a media type without its version."""
    if name.lower() not in ("accept", "content-type"):
        return value
    return "application/x-ndjson" if _LINES in value else "application/json"


def connect(
    url: str,
    api_key: str | None,
    timeout: float,
    *,
    tls: Tls | None = None,
    through: str | None = None,
    retries: int = 0,
) -> AsyncElasticsearch:
    """Return a client; closing it is the caller's.

    Args:
        url: Elasticsearch's base URL, with user and password where it wants them.
        api_key: wins over the user and password.
        timeout: seconds for each request.
        tls: how to verify an `https` cluster.
        through: the sidecar's URL, to be asked with the cluster's credentials instead of the cluster.
        retries: how often a request that failed is sent again.
    """
    base, basic_auth = split_credentials(url)
    credentials: dict[str, Any] = {"api_key": api_key} if api_key else {"basic_auth": basic_auth}
    verified = {} if tls is None or through or base.startswith("http:") else _verified(tls)
    options: dict[str, Any] = {"node_class": _AnyProduct, "request_timeout": timeout, "max_retries": retries}
    return AsyncElasticsearch(through or base, **options, **credentials, **verified)


def _verified(tls: Tls) -> dict[str, Any]:
    given = {"ca_certs": tls.ca_file, "client_cert": tls.cert_file, "client_key": tls.key_file}
    shown = {"ssl_show_warn": False} if not tls.verify else {}
    return {"verify_certs": tls.verify, **shown, **{name: value for name, value in given.items() if value}}
