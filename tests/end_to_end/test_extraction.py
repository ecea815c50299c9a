"""Which clauses are text to rank by: the types of the fields are what the node says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.conftest import Background, config

RERANKED, NO_TEXT = "reranked", "passed; reason=no_query_text"
# Only `title` is mapped: `body` is text as well, `tag` a keyword, `n` a number, `title.raw` a multi-field.
QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"match": {"body": "running"}}, RERANKED),
    ({"match": {"body": "404"}}, RERANKED),
    ({"match": {"title": "404"}}, RERANKED),
    ({"match": {"tag": "running"}}, NO_TEXT),
    ({"match": {"n": 12}}, NO_TEXT),
    ({"match": {"nothing": "running"}}, NO_TEXT),
    ({"multi_match": {"query": "running", "fields": ["tag", "bo*"]}}, RERANKED),
    ({"multi_match": {"query": "running", "fields": ["tag", "nothing"]}}, NO_TEXT),
    ({"query_string": {"query": "tag: running AND n: 12"}}, NO_TEXT),
    ({"query_string": {"query": "tag: running OR body: running"}}, RERANKED),
    ({"term": {"title": "fox"}}, RERANKED),
    ({"term": {"body": "fox"}}, NO_TEXT),
]


@pytest.fixture(scope="module")
def through_titles(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[Elasticsearch]:
    """A client through a sidecar that maps only `title`."""
    background = Background(config(elasticsearch_url, checkpoint, fields=["title"]))
    with Elasticsearch(background.start()) as client:
        yield client
    background.stop()


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=range(len(QUERIES)))
def test_the_types_of_fields_tell_text_from_filters(
    through_titles: Elasticsearch, articles: str, query: dict[str, Any], expected: str
) -> None:
    should = {"bool": {"should": [query, {"match_all": {}}]}}  # so that there are hits
    answer = through_titles.search(index=articles, query=should)
    assert answer.meta.headers["x-rescore"].startswith(expected)


def test_each_search_of_several_is_judged_by_the_types(through_titles: Elasticsearch, articles: str) -> None:
    should = [{"bool": {"should": [query, {"match_all": {}}]}} for query, _ in QUERIES]
    answer = through_titles.msearch(
        index=articles, searches=[each for query in should for each in ({}, {"query": query})]
    )
    reranked = sum(expected == RERANKED for _, expected in QUERIES)
    expected = f"reranked; reranked={reranked}; passed={len(QUERIES) - reranked}; failed=0"
    assert answer.meta.headers["x-rescore"].startswith(expected)
