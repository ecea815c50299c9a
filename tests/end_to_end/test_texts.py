"""Which text of a real document the model reads, for every place that it can be read from."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import Elasticsearch

from sidecar.app import running
from sidecar.config.model import Config
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.end_to_end.conftest import config

Read = Callable[[Sequence[str], dict[str, Any], dict[str, Any]], Awaitable[Sequence[str]]]
TEXT = {"type": "text"}
PROPERTIES: dict[str, Any] = {
    "title": TEXT | {"fields": {"raw": {"type": "keyword"}}},
    "from": TEXT | {"copy_to": "copy"},
    "copy": TEXT,
    "parts": {"type": "nested", "properties": {"text": TEXT, "n": {"type": "integer"}}},
    "object": {"properties": {"a": TEXT}},
    "page": TEXT,
}
DOCUMENT = {
    "title": "a red fox",
    "from": "copied words",
    "parts": [{"text": "fox one", "n": 1}, {"text": "dog two", "n": 2}],
    "object": [{"a": "x"}, {"a": ["y", "z"]}],
    "page": "<h1>Foxes &amp; dogs</h1><p>run</p>",
}
COPIED = "copied words a red fox"
FOX = {"match": {"title": "fox"}}
NESTED = {"nested": {"path": "parts", "query": {"match": {"parts.text": "fox"}}, "inner_hits": {}}}


@pytest.fixture
def texts(elasticsearch_url: str) -> Iterator[str]:
    """An index with one document of many shapes."""
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.delete(index="texts", ignore_unavailable=True)
        client.indices.create(index="texts", mappings={"properties": PROPERTIES})
        client.index(index="texts", id="1", document=DOCUMENT, refresh=True)
        yield "texts"
        client.indices.delete(index="texts")


@contextlib.asynccontextmanager
async def reading(elasticsearch_url: str, checkpoint: Path) -> AsyncIterator[Read]:
    """Yield what searches indices through a sidecar under a mapping, and returns the texts that its model reads."""
    settings = config(elasticsearch_url, checkpoint).model_dump() | {"lists": {"ttl": 0}}
    async with running(Config.model_validate(settings)) as sidecar, aiohttp.ClientSession() as session:
        seen: list[Sequence[str]] = []
        score = sidecar.scorer.score

        async def watched(request: ScoreRequest) -> Scores:
            seen.append(request.documents)
            return await score(request)

        async def read(indices: Sequence[str], mapping: dict[str, Any], search: dict[str, Any]) -> Sequence[str]:
            changed = settings | {"indices": dict.fromkeys(indices, mapping | {"timeout": "60s"})}
            sidecar.rescorer.use(Config.model_validate(changed))
            url, headers = f"{sidecar.url}/{','.join(indices)}/_search", {"Content-Type": "application/json"}
            async with session.post(url, data=json.dumps(search), headers=headers) as answer:
                assert answer.headers["X-Rescore"].startswith("reranked"), (mapping, await answer.read())
            return seen.pop()

        sidecar.scorer.score = watched  # type: ignore[method-assign]  # only watches
        yield read


async def test_what_the_model_reads(elasticsearch_url: str, texts: str, checkpoint: Path) -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"fields": ["title", "object.a", "parts.text"]}, {"query": FOX}, "a red fox x y z fox one dog two"),
        ({"fields": ["title.raw"]}, {"query": FOX}, "a red fox"),
        ({"fields": ["title.raw"]}, {"query": FOX, "_source": False}, "a red fox"),
        ({"fields": ["copy"], "text_from": "fields"}, {"query": FOX}, "copied words"),
        (
            {"fields": ["copy", "title"], "text_from": "fields"},
            {"query": FOX, "_source": ["n"]},
            "copied words a red fox",
        ),
        ({"fields": ["parts.text", "object.a"]}, {"query": FOX, "_source": False}, "fox one dog two x y z"),
        ({"fields": ["parts.text"]}, {"query": FOX, "_source": ["title"]}, "fox one dog two"),
        (
            {"fields": ["title"], "text_from": "highlight"},
            {"query": FOX, "highlight": {"fields": {"title": {}}}},
            "a red fox",
        ),
        (
            {"fields": ["title"], "text_from": "highlight"},
            {"query": FOX, "highlight": {"fields": {"title": {"pre_tags": ["<b>"], "post_tags": ["</b>"]}}}},
            "a red fox",
        ),
        (
            {"fields": ["title"], "text_from": "highlight"},
            {"query": FOX, "highlight": {"tags_schema": "styled", "fields": [{"title": {}}]}},
            "a red fox",
        ),
        ({"fields": ["parts.text"], "text_from": "inner_hits"}, {"query": NESTED}, "fox one"),
        ({"fields": ["page"], "strip_html": True}, {"query": FOX}, "Foxes & dogs run"),
        ({"fields": [{"name": "title", "label": "T: "}, "missing"], "separator": "|"}, {"query": FOX}, "T: a red fox"),
    ]
    async with reading(elasticsearch_url, checkpoint) as read:
        for mapping, search, text in cases:
            assert (mapping, await read([texts], mapping, search)) == (mapping, [text])


async def test_long_documents_are_scored_by_their_best_passage(
    elasticsearch_url: str, texts: str, checkpoint: Path
) -> None:
    settings = config(elasticsearch_url, checkpoint).model_dump() | {"lists": {"ttl": 0}}
    passages = {"size": 16, "stride": 8, "max_count": 4}
    settings["indices"] = {texts: {"fields": ["title"], "passages": passages, "timeout": "60s"}}
    with Elasticsearch(elasticsearch_url) as client:
        client.index(index=texts, id="2", document={"title": "fox " * 400}, refresh=True)
    async with running(Config.model_validate(settings)) as sidecar, aiohttp.ClientSession() as session:
        headers = {"Content-Type": "application/json"}
        body = json.dumps({"query": FOX})
        async with session.post(f"{sidecar.url}/{texts}/_search", data=body, headers=headers) as answer:
            assert answer.headers["X-Rescore"].startswith("reranked")
        assert b'sidecar_pairs_total{mapping="texts"' in sidecar.metrics.render()
        [line] = [line for line in sidecar.metrics.render().split(b"\n") if line.startswith(b"sidecar_pairs_total")]
        assert float(line.rpartition(b" ")[2]) == 5  # one of the short document, four of the long one


async def test_an_index_without_source_gives_its_stored_texts_whatever_the_search_shows(
    elasticsearch_url: str, texts: str, checkpoint: Path
) -> None:
    stored = {"title": TEXT | {"store": True}}
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.create(index="texts-stored", mappings={"_source": {"enabled": False}, "properties": stored})
        client.index(index="texts-stored", id="1", document={"title": "a stored fox"}, refresh=True)
    try:
        async with reading(elasticsearch_url, checkpoint) as read:
            for shown, text_from in itertools.product((True, False), ("auto", "fields")):
                mapping = {"fields": ["title"], "text_from": text_from}
                found = await read([texts, "texts-stored"], mapping, {"query": FOX, "_source": shown})
                assert sorted(found) == ["a red fox", "a stored fox"], (shown, text_from)
    finally:
        with Elasticsearch(elasticsearch_url) as client:
            client.indices.delete(index="texts-stored")
