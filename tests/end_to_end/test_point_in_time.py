"""Point-in-time searches through the sidecar against a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.conftest import Background, config
from tests.end_to_end.test_msearch import msearch
from tests.end_to_end.test_search import raw
from tests.end_to_end.versions import (  # noqa: F401 - fixtures
    articles_of_each_version,
    client_of_each_version,
    node_of_each_version,
    sidecar_before_each_version,
)

FOX: dict[str, Any] = {"query": {"match": {"title": "fox"}}}


@pytest.fixture
def second_url(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """A sidecar that has just been started, of the same configuration."""
    background = Background(config(elasticsearch_url, checkpoint))
    yield background.start()
    background.stop()


@pytest.fixture
def others(direct: Elasticsearch) -> Iterator[None]:
    """Indices that are not mapped, one of them empty, and an alias; and a data stream, which cannot be deleted."""
    for index in ("pit-other", "pit-empty"):
        direct.indices.create(index=index, settings={"number_of_replicas": 0}, aliases={"pit-alias": {}})
    direct.index(index="pit-other", document={"title": "dog"}, refresh=True)
    direct.indices.put_alias(index="articles", name="pit-articles", filter={"term": {"tag": "t1"}})
    yield
    direct.indices.delete(index="pit-other,pit-empty")
    direct.indices.delete_alias(index="articles", name="pit-articles")


@pytest.fixture
def opened(sidecar_url: str) -> str:
    """A PIT that was opened through the sidecar."""
    status, headers, body = raw(sidecar_url, "/articles/_pit?keep_alive=1m", b"{}")
    assert (status, headers["X-Rescore"]) == (200, "passed; reason=pit_open")
    return str(json.loads(body)["id"])


@pytest.fixture
def foreign(direct: Elasticsearch) -> str:
    """A PIT that the sidecar knows nothing of."""
    return str(direct.open_point_in_time(index="articles", keep_alive="1m")["id"])


def search(url: str, pit: str, **body: Any) -> tuple[str | None, dict[str, Any]]:
    status, headers, answer = raw(url, "/_search", json.dumps({**FOX, "pit": {"id": pit}, **body}).encode())
    assert status == 200, answer
    return headers.get("X-Rescore"), json.loads(answer)


def test_a_pit_that_is_opened_here_is_known(sidecar_url: str, opened: str) -> None:
    lines = [{}, {**FOX, "pit": {"id": opened}}]
    assert msearch(sidecar_url, *lines)[0] == "reranked; reranked=1; passed=0; failed=0"


@pytest.mark.parametrize("kind", ["opened", "foreign"])
def test_pages_of_a_pit_are_elasticsearchs_list_with_its_window_permuted(
    sidecar_url: str, direct: Elasticsearch, kind: str, request: pytest.FixtureRequest
) -> None:
    pit = request.getfixturevalue(kind)
    found: list[str] = []
    for start in range(0, 300, 60):
        outcome, got = search(sidecar_url, pit, **{"from": start, "size": 60, "_source": False})
        assert outcome is not None
        assert outcome.startswith("reranked; window=100" if start < 100 else "passed; reason=beyond_window")
        found += [hit["_id"] for hit in got["hits"]["hits"]]
        pit = got["pit_id"]
    hits = direct.search(pit={"id": pit}, query=FOX["query"], size=300)["hits"]["hits"]
    plain = [hit["_id"] for hit in hits]
    assert sorted(found[:100]) == sorted(plain[:100])
    assert found[:100] != plain[:100]
    assert found[100:] == plain[100:]


@pytest.mark.parametrize("sort", [["_score"], [{"_score": "desc"}], ["n"], [{"_score": "desc"}, "n"]])
def test_sorted_pits_pass_so_that_search_after_loses_nothing(
    sidecar_url: str, opened: str, direct: Elasticsearch, sort: list[Any]
) -> None:
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        outcome, got = search(sidecar_url, opened, sort=sort, size=70, **after)
        assert outcome == f"passed; reason={'search_after' if after else 'sorted'}"
        hits = got["hits"]["hits"]
        if not hits:
            break
        found += [hit["_id"] for hit in hits]
        after = {"search_after": hits[-1]["sort"]}
    plain = direct.search(pit={"id": opened}, query=FOX["query"], sort=sort, size=300)["hits"]["hits"]
    assert found == [hit["_id"] for hit in plain]


def test_a_pit_without_sort_has_no_sort_values(direct: Elasticsearch, opened: str) -> None:
    hits = direct.search(pit={"id": opened}, query=FOX["query"])["hits"]["hits"]
    assert not any("sort" in hit for hit in hits)


def test_a_pit_is_known_by_its_documents_whoever_opened_it_and_whatever_the_page(
    sidecar_url: str, foreign: str
) -> None:
    assert search(sidecar_url, foreign, size=0, ext={"rescore": {}})[0] == "passed; reason=size_0"
    assert search(sidecar_url, foreign, **{"from": 900})[0] == "passed; reason=beyond_window"
    assert msearch(sidecar_url, {}, {**FOX, "pit": {"id": foreign}})[0] == "reranked; reranked=1; passed=0; failed=0"


def test_a_pit_over_mapped_and_unmapped_indices_is_told_alike_by_all_replicas(
    sidecar_url: str, direct: Elasticsearch, elasticsearch_url: str, checkpoint: Path
) -> None:
    direct.index(index="unmapped-pit", document={"title": "nothing that the query finds"}, refresh=True)
    direct.indices.create(index="unmapped-empty")
    other = Background(config(elasticsearch_url, checkpoint))
    replicas = sidecar_url, other.start()
    try:
        for names, told, searched in (
            ("articles,unmapped-pit", "passed; reason=mixed_mappings", "passed; reason=mixed_mappings"),
            ("articles,unmapped-empty", "passed; reason=pit_open", "reranked; window=100"),
            ("unmapped-empty", "passed; reason=no_mapping", "passed; reason=pit_unknown"),
        ):
            _, headers, body = raw(sidecar_url, f"/{names}/_pit?keep_alive=1m", b"")
            assert headers["X-Rescore"] == told
            outcomes = {search(url, json.loads(body)["id"])[0] for url in replicas}
            assert {str(outcome).partition("; model")[0] for outcome in outcomes} == {searched}
    finally:
        other.stop()
        direct.indices.delete(index="unmapped-pit,unmapped-empty")


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ("articles", "reranked"),
        ("articl*", "reranked"),
        ("pit-articles", "reranked"),
        ("articles,pit-other", "passed; reason=mixed_mappings"),
        ("articles,pit-empty", "reranked"),
        ("articles,pit-alias", "passed; reason=mixed_mappings"),
        ("pit-other", "passed; reason=no_mapping"),
        ("pit-empty", "passed; reason=pit_unknown"),
        ("pit-none*", "passed; reason=pit_unknown"),
    ],
)
@pytest.mark.usefixtures("others")
def test_a_pit_is_judged_by_its_indices_wherever_it_was_opened_and_whatever_a_page_shows(
    sidecar_url: str, second_url: str, direct: Elasticsearch, expression: str, outcome: str
) -> None:
    status, headers, body = raw(sidecar_url, f"/{expression}/_pit?keep_alive=1m", b"{}")
    assert status == 200
    if outcome == "reranked":
        assert headers["X-Rescore"] == "passed; reason=pit_open"
    pits = [json.loads(body)["id"], direct.open_point_in_time(index=expression, keep_alive="1m")["id"]]
    for pit in pits:
        for url in (sidecar_url, second_url):
            for query in (FOX, {"query": {"match": {"title": "fox dog"}}}):
                asked = {**query, "pit": {"id": pit}}
                assert str(raw(url, "/_search", json.dumps(asked).encode())[1]["X-Rescore"]).startswith(outcome)
                told = str(msearch(url, {}, asked, {}, asked)[0])
                assert told.startswith("reranked; reranked=2" if outcome == "reranked" else outcome)


@pytest.mark.usefixtures("others")
def test_a_pit_in_a_parameter_or_beside_half_a_character_is_seen(sidecar_url: str, direct: Elasticsearch) -> None:
    for expression, outcome in (("articles", "reranked"), ("articles,pit-other", "passed; reason=mixed_mappings")):
        pit = {"pit": {"id": direct.open_point_in_time(index=expression, keep_alive="1m")["id"]}}
        text = quote(json.dumps(FOX | pit))
        told = raw(sidecar_url, f"/_search?source_content_type=application/json&source={text}", None)[1]["X-Rescore"]
        assert told.startswith(outcome)
        cut = json.dumps({"query": {"match": {"title": {"query": "fox", "_name": "\ud83d"}}}} | pit).encode()
        assert raw(sidecar_url, "/_search", cut)[1]["X-Rescore"].startswith(outcome)


def test_an_unknown_pit_is_asked_without_the_override(sidecar_url: str, foreign: str) -> None:
    outcome, got = search(sidecar_url, foreign, ext={"rescore": {"window_size": 5}})
    assert outcome is not None
    assert outcome.startswith("reranked; window=5")
    assert len(got["hits"]["hits"]) == 10


def test_a_pit_on_an_unmapped_index_is_not_ours(sidecar_url: str, direct: Elasticsearch) -> None:
    direct.index(index="unmapped", document={"title": "fox"}, refresh=True)
    pit = direct.open_point_in_time(index="unmapped", keep_alive="1m")["id"]
    assert search(sidecar_url, pit)[0] == "passed; reason=no_mapping"
    assert raw(sidecar_url, "/unmapped/_pit?keep_alive=1m", b"{}")[1]["X-Rescore"] == "passed; reason=no_mapping"
    direct.indices.delete(index="unmapped")


def test_a_pit_that_is_no_more_gets_elasticsearchs_error(
    sidecar_url: str, direct: Elasticsearch, opened: str, foreign: str
) -> None:
    assert str(search(sidecar_url, opened)[0]).startswith("reranked")
    for pit in (opened, foreign):
        direct.close_point_in_time(id=pit)
    for pit in (opened, foreign, "bm8="):
        body = json.dumps({**FOX, "pit": {"id": pit}}).encode()
        status, headers, answer = raw(sidecar_url, "/_search", body)
        assert (status, answer) == raw(direct_url(direct), "/_search", body)[::2]
        assert status == (400 if pit == "bm8=" else 404)
        assert headers["X-Rescore"] == f"passed; reason={'upstream_error' if pit == opened else 'pit_unknown'}"


def direct_url(client: Elasticsearch) -> str:
    return next(iter(client.transport.node_pool.all())).base_url
