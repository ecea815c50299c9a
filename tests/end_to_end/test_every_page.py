"""Every page of every size against a real node: the list is Elasticsearch's, its window permuted (law 3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from sidecar.config.model import Config
from tests.end_to_end.conftest import Background, config

HITS = 130
# Many of the documents have equal first-stage scores: ties are where pages would be cut differently.
QUERY = {"bool": {"must": [{"match": {"title": "fox"}}], "filter": [{"range": {"n": {"lt": HITS}}}]}}


@pytest.fixture(scope="module")
def url(elasticsearch_url: str, articles: str) -> Iterator[str]:
    """A sidecar whose scores are computed once and then remembered, so that each page sees the same ones."""
    settings = config(elasticsearch_url, Path("bundled")).model_dump()
    settings["engine"]["score_cache"] = 1 << 24
    background = Background(Config.model_validate(settings))
    yield background.start()
    background.stop()


async def page(session: aiohttp.ClientSession, url: str, start: int, size: int, window: int | None) -> list[str]:
    """Return the ids of a page; no window asks Elasticsearch itself."""
    body: dict[str, object] = {"query": QUERY, "from": start, "size": size, "_source": ["n"]}
    if window is not None:
        body["ext"] = {"rescore": {"window_size": window}}
    async with session.post(
        f"{url}/articles/_search?filter_path=hits.hits._id,hits.hits._score",
        data=json.dumps(body),
        headers={"Content-Type": "application/json"},
    ) as answer:
        if window is not None:
            expected = "passed; reason=beyond_window" if start >= window else f"reranked; window={window}"
            assert answer.headers["X-Rescore"].startswith(expected)
        hits = json.loads(await answer.read()).get("hits", {}).get("hits", [])
    scores = [hit["_score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    return [hit["_id"] for hit in hits]


@pytest.mark.parametrize("window", [1, 10, 100])
async def test_every_page_size_reads_the_same_list(url: str, elasticsearch_url: str, window: int) -> None:
    async with aiohttp.ClientSession() as session:
        direct = await page(session, elasticsearch_url, 0, HITS, None)
        rescored = await page(session, url, 0, HITS, window)
        assert len(set(rescored)) == HITS
        assert sorted(rescored[:window]) == sorted(direct[:window])
        assert (rescored[:window] == direct[:window]) == (window == 1)
        assert rescored[window:] == direct[window:]
        for size in range(1, 26):
            paged = [await page(session, url, start, size, window) for start in range(0, HITS + size, size)]
            assert [name for names in paged for name in names] == rescored, size
