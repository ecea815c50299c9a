"""Connections of the commands, for which the sidecar is a client itself: through the official client."""

from __future__ import annotations

from typing import Any

from elasticsearch import AsyncElasticsearch

from sidecar.config.model import Tls
from sidecar.config.urls import split_credentials


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
    return AsyncElasticsearch(through or base, request_timeout=timeout, max_retries=retries, **credentials, **verified)


def _verified(tls: Tls) -> dict[str, Any]:
    given = {"ca_certs": tls.ca_file, "client_cert": tls.cert_file, "client_key": tls.key_file}
    shown = {"ssl_show_warn": False} if not tls.verify else {}
    return {"verify_certs": tls.verify, **shown, **{name: value for name, value in given.items() if value}}
