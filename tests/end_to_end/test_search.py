"""Searches through the whole sidecar against a real node."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, BadRequestError, Elasticsearch, NotFoundError

FOX = {"match": {"title": "fox"}}


def raw(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request and give status, headers and body."""
    named = {"Content-Type": "application/json"} if body else {}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url + path, data=body, headers=named)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers.items()), error.read()


def ids(client: Elasticsearch, **search: Any) -> list[str]:
    return [hit["_id"] for hit in client.search(index="articles", query=FOX, **search)["hits"]["hits"]]


def test_hits_are_reordered_in_elasticsearchs_format(through: Elasticsearch, direct: Elasticsearch) -> None:
    before = direct.search(index="articles", query=FOX, size=100)["hits"]
    after = through.search(index="articles", query=FOX, size=100)["hits"]
    assert [h["_id"] for h in after["hits"]] != [h["_id"] for h in before["hits"]]
    assert {h["_id"] for h in after["hits"]} == {h["_id"] for h in before["hits"]}
    assert after["total"] == before["total"]
    scores = [h["_score"] for h in after["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert after["max_score"] == scores[0]


def test_sources_are_moved_as_bytes(sidecar_url: str, elasticsearch_url: str) -> None:
    inner = b'{"x":1.0,"big":12345678901234567890,"e":1e400,"u":"\\u00e9\\ud83d\\ude00"}'
    odd = b'{"title":"fox odd", "odd":' + inner + b',"n":1000}'
    raw(elasticsearch_url, "/articles/_doc/odd?refresh=true", odd)
    try:
        body = b'{"query":{"ids":{"values":["odd"]}},"ext":{"rescore":{"query":"odd fox"}}}'
        status, headers, answer = raw(sidecar_url, "/articles/_search", body)
        assert (status, headers["X-Rescore"].partition(";")[0]) == (200, "reranked")
        assert odd in answer
    finally:
        urllib.request.urlopen(
            urllib.request.Request(elasticsearch_url + "/articles/_doc/odd?refresh=true", method="DELETE")
        ).close()


@pytest.mark.parametrize("size", [7, 25])
def test_pages_are_elasticsearchs_list_with_its_window_permuted(
    through: Elasticsearch, direct: Elasticsearch, size: int
) -> None:
    whole = ids(direct, size=300)
    paged = [name for start in range(0, 300, size) for name in ids(through, from_=start, size=size)]
    assert sorted(paged[:100]) == sorted(whole[:100])
    assert paged[:100] != whole[:100]
    assert paged[100:] == whole[100:]


@pytest.mark.parametrize(
    "path", ["/articles/_search?q=title:fox", "/articles/_search/?q=fox", "/%61rticles/_search?q=fox"]
)
def test_every_spelling_of_a_search_is_rescored(sidecar_url: str, path: str) -> None:
    _, headers, _ = raw(sidecar_url, path)
    assert headers["X-Rescore"].startswith("reranked; window=100")
    assert "model;dur=" in headers["Server-Timing"]


def test_an_alias_is_resolved_through_the_cluster(sidecar_url: str, direct: Elasticsearch) -> None:
    direct.indices.put_alias(index="articles", name="papers")
    _, headers, _ = raw(sidecar_url, "/papers/_search?q=fox")
    assert headers["X-Rescore"].startswith("reranked")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/articles/_search", b'{"sort":["n"]}', "sorted"),
        ("/articles/_search", b'{"size":0,"query":{"match":{"title":"fox"}}}', "size_0"),
        ("/articles/_search?scroll=1m", b'{"query":{"match":{"title":"fox"}}}', "scroll"),
        ("/articles/_search", b'{"from":100,"query":{"match":{"title":"fox"}}}', "beyond_window"),
        ("/articles/_search", b'{"query":{"match_all":{}}}', "no_query_text"),
        ("/articles/_search", b'{"query":{"match":{"title":"fox"}},"ext":{"rescore":{"enabled":false}}}', "disabled"),
        ("/articles/_search?format=yaml", b'{"query":{"match":{"title":"fox"}}}', "answer_format"),
    ],
)
def test_what_is_not_rescored_says_why(sidecar_url: str, path: str, body: bytes, reason: str) -> None:
    status, headers, _ = raw(sidecar_url, path, body)
    assert (status, headers["X-Rescore"]) == (200, f"passed; reason={reason}")


def test_malformed_json_reaches_elasticsearch_and_its_400_comes_back(sidecar_url: str, elasticsearch_url: str) -> None:
    for body in (b'{"query":', b'{"size":1,"size":2}', b'{"query":{"nope":{}}}'):
        assert (
            raw(sidecar_url, "/articles/_search", body)[::2] == raw(elasticsearch_url, "/articles/_search", body)[::2]
        )


def test_a_wrong_override_names_the_field(sidecar_url: str) -> None:
    body = b'{"query":{"match":{"title":"fox"}},"ext":{"rescore":{"window_size":"ten"}}}'
    status, headers, answer = raw(sidecar_url, "/articles/_search", body)
    error = json.loads(answer)["error"]
    assert (status, error["type"]) == (400, "illegal_argument_exception")
    assert error["reason"] == '[ext.rescore.window_size] must be a positive integer, found ["ten"]'
    assert headers["X-Elastic-Product"] == "Elasticsearch"


def test_source_filters_of_the_client_hold(through: Elasticsearch, direct: Elasticsearch) -> None:
    for search in ({"source": False}, {"source": ["n"]}, {"source": False, "fields": ["tag"]}):
        after = through.search(index="articles", query=FOX, size=5, **search)["hits"]["hits"]
        plain = {h["_id"]: h for h in direct.search(index="articles", query=FOX, size=300, **search)["hits"]["hits"]}
        assert [{k: v for k, v in h.items() if k != "_score"} for h in after] == [
            {k: v for k, v in plain[h["_id"]].items() if k != "_score"} for h in after
        ]


def test_filter_path_is_applied_after_rescoring(sidecar_url: str) -> None:
    _, headers, body = raw(sidecar_url, "/articles/_search?q=fox&size=1&filter_path=hits.hits._id")
    assert headers["X-Rescore"].startswith("reranked")
    assert list(json.loads(body)) == ["hits"]
    assert list(json.loads(body)["hits"]["hits"][0]) == ["_id"]


def test_an_index_whose_result_window_is_small_still_answers(sidecar_url: str, direct: Elasticsearch) -> None:
    direct.indices.put_settings(index="articles", settings={"index.max_result_window": 50})
    try:
        status, headers, body = raw(sidecar_url, "/articles/_search?q=fox")
    finally:
        direct.indices.put_settings(index="articles", settings={"index.max_result_window": None})
    assert (status, headers["X-Rescore"]) == (200, "passed; reason=widened_refused")
    assert len(json.loads(body)["hits"]["hits"]) == 10


def test_the_official_client_does_its_work_through_the_sidecar(through: Elasticsearch) -> None:
    through.indices.delete(index="scratch", ignore_unavailable=True)
    through.index(index="scratch", id="1", document={"t": "one"}, refresh=True)
    through.bulk(operations=[{"index": {"_index": "scratch", "_id": "2"}}, {"t": "two"}], refresh=True)
    assert through.count(index="scratch")["count"] == 2
    first = through.search(index="scratch", scroll="1m", size=1)
    assert len(through.scroll(scroll_id=first["_scroll_id"])["hits"]["hits"]) == 1
    pit = through.open_point_in_time(index="scratch", keep_alive="1m")["id"]
    assert len(through.search(pit={"id": pit}, size=5)["hits"]["hits"]) == 2
    assert through.close_point_in_time(id=pit)["succeeded"]
    with pytest.raises(NotFoundError):
        through.get(index="scratch", id="3")
    with pytest.raises(BadRequestError):
        through.search(index="articles", query={"nope": {}})
    assert through.delete(index="scratch", id="1")["result"] == "deleted"
    through.indices.delete(index="scratch")


def test_the_official_client_reads_several_answers(through: Elasticsearch) -> None:
    search = {"query": FOX}
    answer = through.msearch(searches=[{"index": "articles"}, search, {"index": "articles"}, {**search, "size": 2}])
    assert [len(item["hits"]["hits"]) for item in answer["responses"]] == [10, 2]


async def test_the_async_client_too(async_through: AsyncElasticsearch) -> None:
    answer = await async_through.search(index="articles", query=FOX, size=3)
    assert len(answer["hits"]["hits"]) == 3
    assert (await async_through.count(index="articles"))["count"] == 300
