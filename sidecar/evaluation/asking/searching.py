"""Searches over HTTP with the official client, straight or through the sidecar; errors become ours here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from elastic_transport import ApiResponse
from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError, TransportError

from sidecar.config.model import IndexMapping, Upstream
from sidecar.config.urls import split_credentials
from sidecar.elasticsearch.connection import connect
from sidecar.errors import SidecarError, UpstreamError
from sidecar.evaluation.asking.answers import outcome, read_hits, stages
from sidecar.evaluation.asking.journal import Answer
from sidecar.rescoring.documents import text_of


class Searcher:
    """Sends searches to one base URL. ``url`` names it in errors."""

    def __init__(self, client: AsyncElasticsearch, url: str) -> None:
        self._client = client
        self.url = url

    async def answer(self, index: str, body: Mapping[str, Any]) -> Answer:
        """Search and give the answer with the time it took.

        Raises:
            SidecarError: Elasticsearch refused the search, or answered in part.
            UpstreamError: it did not answer.
        """
        seconds, response = await self.timed("POST", f"/{quote(index, safe='*,')}/_search", body)
        headers = {name.lower(): value for name, value in response.meta.headers.items()}
        hits = read_hits(whole(response.body))
        return Answer(outcome=outcome(headers), seconds=seconds, hits=hits, stages=stages(headers))

    async def timed(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[float, ApiResponse[Any]]:
        """Send one request; return the seconds it took, and the response.

        Raises:
            SidecarError: Elasticsearch refused it.
            UpstreamError: it did not answer.
        """
        sent = {"accept": "application/json", **(headers or {})}
        if body is not None:
            sent["content-type"] = "application/json"
        started = time.perf_counter()
        try:
            response = await self._client.perform_request(method, target, body=body, headers=sent)
        except NotFoundError as problem:
            raise SidecarError(f"{self.url} has no {target.split('/')[1]!r}: {_reason(problem)}") from problem
        except ApiError as problem:
            raise SidecarError(
                f"{self.url} refused the search ({problem.status_code}): {_reason(problem)}"
            ) from problem
        except TransportError as problem:
            raise UpstreamError(f"{self.url} does not answer: {problem}") from problem
        return time.perf_counter() - started, response

    async def texts(self, index: str, documents: Collection[str], mapping: IndexMapping) -> dict[str, str]:
        """Return the texts that the model reads of some documents, by id."""
        if not documents:
            return {}
        ids = sorted(documents)
        sources = [spec.name for spec in mapping.fields]
        body = {"query": {"ids": {"values": ids}}, "size": len(ids), "_source": sources}
        _, response = await self.timed("POST", f"/{quote(index, safe='*,')}/_search", body)
        return {str(hit["_id"]): text_of(hit, mapping)[0] for hit in response.body["hits"]["hits"]}

    async def version(self) -> str:
        """Return Elasticsearch's version; "unknown" without the privilege to ask for it."""
        try:
            _, response = await self.timed("GET", "/")
        except UpstreamError:
            raise
        except SidecarError:
            return "unknown"
        return str(response.body.get("version", {}).get("number", "unknown"))

    async def identity(self, index: str) -> dict[str, Any]:
        """Return what tells this state of the index from others: its concrete indices and their documents.

        Raises:
            SidecarError: there is no such index, or it is empty.
        """
        _, count = await self.timed("GET", f"/{quote(index, safe='*,')}/_count")
        if not count.body["count"]:
            raise SidecarError(f"the index {index!r} at {self.url} holds no documents")
        return {"uuids": await self._uuids(index), "documents": count.body["count"]}

    async def _uuids(self, index: str) -> list[str]:
        """Return the concrete indices' UUIDs; none for another cluster's, or without the privilege to read settings."""
        target = f"/{quote(index, safe='*,')}/_settings?flat_settings=true&filter_path=*.settings.index.uuid"
        try:
            _, settings = await self.timed("GET", target)
        except UpstreamError:
            raise
        except SidecarError:
            return []
        return sorted(each["settings"]["index.uuid"] for each in settings.body.values())


def whole(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an answer that is complete.

    Raises:
        SidecarError: a shard failed or time ran out: what is missing would be measured as not found.
    """
    if body.get("timed_out") or body.get("_shards", {}).get("failed"):
        raise SidecarError("Elasticsearch answered in part (a failed shard, or its own timeout): nothing is measured")
    return body


@asynccontextmanager
async def searcher(
    upstream: Upstream, api_key: str | None, timeout: float, url: str | None = None
) -> AsyncIterator[Searcher]:
    """Open a client: straight to the first of the upstream's URLs, or with its credentials to ``url`` (the sidecar)."""
    first = upstream.urls[0].get_secret_value()
    async with connect(first, api_key, timeout, tls=upstream.tls, through=url) as client:
        yield Searcher(client, url or split_credentials(first)[0])


def _reason(problem: ApiError) -> str:
    error = problem.body.get("error") if isinstance(problem.body, dict) else None
    causes = error.get("root_cause") if isinstance(error, dict) else None
    found = (causes or [error])[0] if error else None
    return str(found.get("reason", found)) if isinstance(found, dict) else str(problem)
