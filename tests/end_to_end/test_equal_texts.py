"""Several clients walk lists at once: ties must stay where they are, whatever shares a batch with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import helpers

from tests.end_to_end.conftest import WORDS, Background, config, connect

HITS = 120
INDEX = "twins"
CLIENTS = 5
ROUNDS = 3


@pytest.fixture(scope="module")
def url(elasticsearch_url: str) -> Iterator[str]:
    """A sidecar before documents of which every text is there several times, now and then in another case."""
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=INDEX, ignore_unavailable=True)
        client.indices.create(index=INDEX, settings={"number_of_shards": 1, "number_of_replicas": 0})
        texts = [f"fox {' '.join(WORDS[n : n + 3 + n % 4])}" for n in range(12)]
        sources = [texts[i % 12].title() if i % 5 == 0 else texts[i % 12] for i in range(HITS)]
        actions = ({"_index": INDEX, "_id": str(i), "_source": {"title": text}} for i, text in enumerate(sources))
        helpers.bulk(client, actions, refresh=True)
    settings = config(elasticsearch_url, Path("bundled"))
    mapping = settings.indices["articles"].model_copy(update={"window_size": 110})
    background = Background(settings.model_copy(update={"indices": {INDEX: mapping}}))
    yield background.start()
    background.stop()
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=INDEX)


async def walk(session: aiohttp.ClientSession, url: str, query: str, size: int, **more: Any) -> list[str]:
    """Return the ids of a list that is read page by page."""
    found: list[str] = []
    for start in range(0, HITS, size):
        body = {"query": {"match": {"title": query}}, "from": start, "size": size, "_source": ["title"], **more}
        async with session.post(f"{url}/{INDEX}/_search", json=body) as answer:
            found += [hit["_id"] for hit in json.loads(await answer.read())["hits"]["hits"]]
    return found


@pytest.mark.parametrize("versions", [False, True])
async def test_equal_texts_keep_their_places_when_several_clients_walk_lists(url: str, versions: bool) -> None:
    async with aiohttp.ClientSession() as session:
        walks = [
            (f"fox {WORDS[(n + round_) % len(WORDS)]}", 7 + 4 * n) for n in range(CLIENTS) for round_ in range(ROUNDS)
        ]
        read = [walk(session, url, query, size, seq_no_primary_term=versions) for query, size in walks]
        lists = await asyncio.gather(*read)
        lost = [found for found in lists if len(set(found)) != HITS]
    assert lost == []
