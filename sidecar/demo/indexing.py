"""Puts a collection into an index of its own, through the sidecar, with the official client's bulk helper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from elasticsearch import AsyncElasticsearch, NotFoundError
from elasticsearch.helpers import async_streaming_bulk

from sidecar.demo.collection import Collection
from sidecar.errors import SidecarError

_MARK = {"made_by": "sidecar demo"}
_CHUNK = 500


async def index(client: AsyncElasticsearch, collection: Collection, progress: Callable[[], None]) -> None:
    """Make the index and fill it; ``progress`` is called for each document."""
    await client.indices.create(
        index=collection.name,
        settings={"number_of_shards": 1, "number_of_replicas": 0},
        mappings={
            "_meta": _MARK,
            "dynamic": False,  # a person's own columns may hold anything; only text is searched
            "properties": {field: {"type": "text", "analyzer": "english"} for field in collection.fields},
        },
    )
    async for _ in async_streaming_bulk(client, _actions(collection), chunk_size=_CHUNK):
        progress()
    await client.indices.refresh(index=collection.name)


async def drop(client: AsyncElasticsearch, name: str) -> None:
    """Delete a demo's index if it is there; never one that a demo did not make.

    Raises:
        SidecarError: the index exists and is not a demo's.
    """
    try:
        found = await client.indices.get_mapping(index=name)
    except NotFoundError:
        return
    if any(body["mappings"].get("_meta") != _MARK for body in found.body.values()):
        raise SidecarError(f"the index {name!r} exists and was not made by this demo; it is left alone")
    await client.indices.delete(index=name)


def _actions(collection: Collection) -> Iterator[dict[str, Any]]:
    for document_id, source in collection.documents:
        yield {"_index": collection.name, "_id": document_id, "_source": source}
