"""`_msearch` through the sidecar against a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import pytest
from elasticsearch import Elasticsearch

from sidecar.app import running
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.end_to_end.conftest import Background, config
from tests.end_to_end.test_search import raw
from tests.end_to_end.versions import (  # noqa: F401 - fixtures
    articles_of_each_version,
    client_of_each_version,
    node_of_each_version,
    sidecar_before_each_version,
)

FOX: dict[str, Any] = {"query": {"match": {"title": "fox"}}}
HEADERS = {"Content_Type": "application/x-ndjson"}


def ndjson(*lines: Any) -> bytes:
    """Encode lines; bytes go as they are."""
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def msearch(url: str, *lines: Any, path: str = "/_msearch") -> tuple[str | None, dict[str, Any]]:
    status, headers, body = raw(url, path, ndjson(*lines), **HEADERS)
    assert status == 200, body
    return headers.get("X-Rescore"), json.loads(body)


def untimed(item: Any) -> Any:
    return {key: value for key, value in item.items() if key != "took"}


def settled(item: Any) -> Any:
    """Return an answer without what hangs on the last bit of a score, which depends on the batch."""
    if "hits" not in item:
        return untimed(item)
    hits = sorted(item["hits"]["hits"], key=lambda hit: str(hit["_id"]))
    return untimed(item) | {"hits": {"total": item["hits"]["total"], "hits": [hit | {"_score": 0} for hit in hits]}}


def test_each_search_is_answered_as_it_would_be_alone(sidecar_url: str, elasticsearch_url: str) -> None:
    searches: list[tuple[Any, Any]] = [
        ({"index": "articles"}, {**FOX, "size": 100}),
        ({}, {**FOX, "sort": ["n"], "size": 3}),
        ({"index": ["articles"], "preference": "_local"}, {**FOX, "from": 100, "size": 10, "_source": ["n"]}),
        ({"index": "nowhere"}, FOX),
        (b"", {"query": {"multi_match": {"query": "lazy dog", "fields": ["title", "body"]}}, "size": 120}),
        ({"index": "articles"}, {"query": {"range": {"n": {"lt": "no number"}}}}),
        ({"index": "articles"}, {**FOX, "size": 7, "ext": {"rescore": {"window_size": 7}}}),
        ({"index": "articles"}, {**FOX, "ext": {"rescore": {"window_size": "seven"}}}),
        ({"index": "articles"}, {"query": {"match_all": {}}, "ext": {"rescore": {"enabled": True}}}),
    ]
    outcome, got = msearch(sidecar_url, *[line for pair in searches for line in pair], path="/articles/_msearch")
    assert outcome == "reranked; reranked=3; passed=6; failed=0"
    assert [item["status"] for item in got["responses"]] == [200, 200, 200, 404, 200, 400, 200, 400, 200]
    for (header, body), item in zip(searches, got["responses"], strict=True):
        index = header["index"] if header and "index" in header else "articles"
        path = f"/{index if isinstance(index, str) else index[0]}/_search"
        alone = json.loads(raw(sidecar_url, path, json.dumps(body).encode())[2])
        assert settled(item) == settled({**alone, "status": item["status"]})


def test_what_is_not_rescored_keeps_its_bytes(sidecar_url: str, elasticsearch_url: str) -> None:
    lines = [{"index": "articles"}, {"sort": ["n"], "size": 2}, {"index": "articles"}, FOX]
    path = "/_msearch?filter_path=responses.hits&max_concurrent_searches=1&typed_keys=true"
    direct = raw(elasticsearch_url, path, ndjson(*lines[:2]), **HEADERS)[2]
    through = raw(sidecar_url, path, ndjson(*lines), **HEADERS)[2]
    assert through.startswith(direct[: -len(b"]}")])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ndjson({"index": "articles"}, {**FOX, "sort": ["n"]}, {"index": "articles"}, {"sort": ["n"]}), "sorted"),
        (ndjson({"index": "articles"}, {"sort": ["n"]}, {"index": "articles"}, {"size": 0}), "several_reasons"),
        (ndjson({"index": "other*"}, FOX), "no_mapping"),
        (ndjson({"index": "articles"}, FOX)[:-1], "unparsable"),
        (ndjson({"index": "articles"}), "unparsable"),
        (ndjson({"index": 5}, FOX), "unparsable"),
        (ndjson({"index": "articles"}, {**FOX, "nope": 1}), "widened_refused"),
    ],
)
def test_a_request_without_rescorable_searches_goes_on_as_it_came(
    sidecar_url: str, elasticsearch_url: str, body: bytes, reason: str
) -> None:
    status, headers, answer = raw(sidecar_url, "/_msearch", body, **HEADERS)
    direct = raw(elasticsearch_url, "/_msearch", body, **HEADERS)
    assert headers["X-Rescore"] == f"passed; reason={reason}"
    assert status == direct[0]
    assert untimed(json.loads(answer)).keys() == untimed(json.loads(direct[2])).keys()


def test_the_override_is_taken_out_of_searches_that_pass(sidecar_url: str) -> None:
    body = {**FOX, "sort": ["n"], "ext": {"rescore": {}}}
    outcome, got = msearch(sidecar_url, {"index": "articles"}, body)
    assert (outcome, got["responses"][0]["status"]) == ("passed; reason=sorted", 200)


def test_the_override_is_taken_out_of_searches_on_other_indices(sidecar_url: str, direct: Elasticsearch) -> None:
    direct.index(index="elsewhere", document={"title": "fox"}, refresh=True)
    body = {**FOX, "ext": {"rescore": {}}}
    outcome, got = msearch(sidecar_url, {"index": "elsewhere"}, body, {"index": "articles"}, body)
    assert outcome == "reranked; reranked=1; passed=1; failed=0"
    assert [item["status"] for item in got["responses"]] == [200, 200]
    direct.indices.delete(index="elsewhere")


def test_a_search_whose_widened_form_is_refused_is_asked_for_as_it_came(
    sidecar_url: str, direct: Elasticsearch
) -> None:
    direct.indices.put_settings(index="articles", settings={"index.max_result_window": 50})
    try:
        narrow = {**FOX, "ext": {"rescore": {"window_size": 20}}}
        outcome, got = msearch(sidecar_url, {"index": "articles"}, FOX, {"index": "articles"}, narrow)
        plain = direct.search(index="articles", **FOX)
    finally:
        direct.indices.put_settings(index="articles", settings={"index.max_result_window": None})
    assert outcome == "reranked; reranked=1; passed=1; failed=0"
    assert got["responses"][0]["hits"] == plain["hits"]
    assert len(got["responses"][1]["hits"]["hits"]) == 10


@pytest.fixture
def shadow_url(elasticsearch_url: str, articles: str, checkpoint: Any) -> Iterator[str]:
    background = Background(config(elasticsearch_url, checkpoint, mode="shadow"))
    yield background.start()
    background.stop()


def test_shadowed_searches_keep_elasticsearchs_order(shadow_url: str, direct: Elasticsearch) -> None:
    outcome, got = msearch(shadow_url, {"index": "articles"}, {**FOX, "_source": False, "size": 4})
    assert outcome == "passed; reason=shadow"
    plain = direct.search(index="articles", **FOX, source=False, size=4)
    assert got["responses"][0]["hits"] == plain["hits"]


async def test_twenty_searches_are_scored_in_one_call(elasticsearch_url: str, articles: str, checkpoint: Any) -> None:
    async with running(config(elasticsearch_url, checkpoint)) as sidecar, aiohttp.ClientSession() as session:
        calls: list[int] = []
        score_many = sidecar.scorer.score_many

        async def counted(requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
            calls.append(len(requests))
            return await score_many(requests)

        sidecar.scorer.score_many = counted  # type: ignore[method-assign]  # only watches
        body = ndjson(*[{"index": articles}, FOX] * 20)
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post(sidecar.url + "/_msearch", data=body, headers=headers) as answer:
            assert answer.headers["X-Rescore"] == "reranked; reranked=20; passed=0; failed=0"
        assert calls == [20]
