"""The list stays one list: what widening a search could lose, change or repeat, against a real node."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.model import Config
from tests.end_to_end.conftest import Background, config, connect
from tests.end_to_end.test_features import create
from tests.end_to_end.test_msearch import msearch
from tests.end_to_end.test_search import raw

TEXT = {"type": "text"}
FOX = {"match": {"title": "fox"}}
HITS = 45
LISTED = {"bool": {"must": [FOX], "filter": [{"range": {"n": {"lt": HITS}}}]}}
KNN = {"knn": {"field": "vec", "query_vector": [1, 0]}}
MULTIPLIED = {"window_size": 8, "query": {"rescore_query": FOX, "score_mode": "multiply"}}
WRAPPED = {"wrapper": {"query": base64.b64encode(json.dumps(KNN).encode()).decode()}}


@pytest.fixture(scope="module")
def node(elasticsearch_url: str, articles: str) -> str:
    """The URL of a node with indices that widening a search meets with difficulty."""
    title = {"properties": {"title": TEXT}}
    fox = [{"title": "a fox"}]
    create(elasticsearch_url, "ed_a", title, fox)
    create(elasticsearch_url, "ed_b", title, fox, **{"index.max_result_window": 50})
    long = [{"title": f"fox {i} " + "and so on " * 40 * (i == 7)} for i in range(12)]
    create(elasticsearch_url, "long", title, long, number_of_shards=3, **{"index.highlight.max_analyzed_offset": 100})
    vectors = {"properties": {"title": TEXT, "vec": {"type": "dense_vector", "dims": 2}}}
    create(elasticsearch_url, "vectors", vectors, [{"title": f"fox {i}", "vec": [1.0, i]} for i in range(40)])
    create(elasticsearch_url, "shadowed", title, [{"title": f"fox {i}"} for i in range(30)])
    routed(elasticsearch_url)
    return elasticsearch_url


def routed(url: str) -> None:
    """Make an index whose ids occur on several shards, and whose limits allow a window and no hit more."""
    index = {"number_of_shards": 5, "number_of_replicas": 0, "max_result_window": 20}
    with connect(url) as client:
        client.indices.delete(index="routed", ignore_unavailable=True)
        client.indices.create(index="routed", settings=index, mappings={"properties": {"title": TEXT}})
        for place in range(20):
            document = {"title": f"fox {'den ' * (place % 4)}of {place}", "n": place}
            client.index(index="routed", id=str(place % 3), routing=f"r{place}", document=document)
        client.index(index="routed", id="0", document={"title": "fox without a route", "n": 99})
        client.indices.refresh(index="routed")  # all shards: `refresh` of a document is that of its own


@pytest.fixture(scope="module")
def url(node: str, checkpoint: Path) -> Iterator[str]:
    """A sidecar before that node, which remembers its scores."""
    given = config(node, checkpoint).model_dump()
    given["engine"]["score_cache"] = 1 << 24
    plain = given["indices"]["articles"] | {"fields": ["title"]}
    given["indices"] |= dict.fromkeys(("ed_*", "long", "vectors"), plain)
    given["indices"]["routed"] = plain | {"window_size": 20}
    given["indices"]["shadowed"] = plain | {"mode": "shadow"}
    background = Background(Config.model_validate(given))
    yield background.start()
    background.stop()


def ask(url: str, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what became of a search, and its answer without `took`."""
    status, headers, answer = raw(url, path, json.dumps(body).encode())
    assert status == 200, answer
    return headers.get("X-Rescore", ""), untimed(json.loads(answer))


def untimed(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("took", "pit_id", "status")}


def test_a_shard_that_fails_for_the_window_alone_costs_nothing(url: str, node: str) -> None:
    offset = {"query": FOX, "highlight": {"fields": {"title": {"type": "unified"}}}, "size": 2}
    for path, body in (("/ed_*/_search", {"query": FOX}), ("/long/_search", offset)):
        plain = ask(node, path, body)[1]
        assert plain["_shards"]["failed"] == 0
        assert ask(url, path, body) == ("passed; reason=widened_partial", plain)
        told, several = msearch(url, {}, body, {"index": "vectors"}, {"query": FOX}, path=path.replace("_s", "_ms"))
        assert told == "reranked; reranked=1; passed=1; failed=0"
        assert untimed(several["responses"][0]) == plain
    opened = json.loads(raw(url, "/ed_*/_pit?keep_alive=1m", b"{}")[2])["id"]
    told, found = ask(url, "/_search", {"query": FOX, "pit": {"id": opened}})
    assert (told, len(found["hits"]["hits"])) == ("passed; reason=widened_partial", 2)


def test_a_shard_that_fails_for_the_rest_of_a_page_is_told_and_keeps_the_window(url: str, node: str) -> None:
    body = {"query": FOX, "highlight": {"fields": {"title": {"type": "unified"}}}, "size": 12}
    told, found = ask(url, "/long/_search", body | {"ext": {"rescore": {"window_size": 3}}})
    plain = ask(node, "/long/_search", body)[1]
    assert told.startswith("reranked; window=3")
    assert (found["_shards"]["failed"], plain["_shards"]["failed"]) == (1, 1)
    window = ask(url, "/long/_search", body | {"size": 3, "ext": {"rescore": {"window_size": 3}}})[1]
    assert found["hits"]["hits"][:3] == window["hits"]["hits"]


def test_a_page_too_long_for_its_index_is_refused_though_the_list_ends_in_the_window(url: str, node: str) -> None:
    body = json.dumps({"query": FOX, "size": 51, "ext": {"rescore": {"window_size": 7}}}).encode()
    status, headers, answer = raw(url, "/ed_b/_search", body)
    assert (status, headers.get("X-Rescore")) == (400, "passed; reason=widened_refused")
    assert answer == raw(node, "/ed_b/_search", json.dumps({"query": FOX, "size": 51}).encode())[2]
    told, several = msearch(url, {"index": "ed_b"}, json.loads(body))
    assert (told, several["responses"][0]["status"]) == ("passed; reranked=0; passed=1; failed=0", 400)


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("", {"query": FOX, "aggs": {"near": {"filter": KNN}}, "size": 3}),
        ("", {"query": FOX, "aggs": {"near": {"filters": {"filters": {"a": {"bool": {"must": [KNN]}}}}}}, "size": 3}),
        ("?size=3", {"query": FOX, "aggs": {"near": {"filter": WRAPPED}}}),
        ("?size=30", {"query": FOX, **KNN}),
        ("?size=3", {"query": FOX, **KNN}),
        ("", {"query": {"bool": {"should": [FOX, KNN]}}, "size": 3}),
        ("", {"query": {"bool": {"must": [FOX, WRAPPED]}}, "size": 3}),
        ("", {"query": FOX, "post_filter": KNN, "size": 3}),
        ("", {"query": FOX, "rescore": {"query": {"rescore_query": KNN}}, "size": 3}),
        ("", {"query": FOX, "highlight": {"highlight_query": KNN, "fields": {"title": {}}}, "size": 3}),
        ("", {"retriever": {"standard": {"query": FOX, "filter": KNN}}, "size": 3}),
        ("", {"query": FOX, "size": 8, "rescore": MULTIPLIED}),
        ("", {"query": FOX, "size": 12, "rescore": MULTIPLIED}),
    ],
)
def test_what_takes_as_many_neighbours_as_hits_takes_no_more(
    url: str, node: str, parameters: str, body: dict[str, Any]
) -> None:
    told, found = ask(url, f"/vectors/_search{parameters}", body)
    plain = ask(node, f"/vectors/_search{parameters}", body)[1]
    assert told.startswith("reranked") or told == "passed; reason=rescore_window"
    assert found.get("aggregations") == plain.get("aggregations")
    assert found["hits"]["total"] == plain["hits"]["total"]
    assert sorted(hit["_id"] for hit in found["hits"]["hits"]) == sorted(hit["_id"] for hit in plain["hits"]["hits"])


def test_in_shadow_mode_no_answer_differs(url: str, node: str) -> None:
    bodies: list[dict[str, Any]] = [{"query": FOX, "size": size} for size in (1, 5, 30)]
    bodies += [{"query": FOX, "aggs": {"t": {"top_hits": {}}}, "from": 3}]
    for body in bodies:
        assert ask(url, "/shadowed/_search", body) == ("passed; reason=shadow", ask(node, "/shadowed/_search", body)[1])
    told, several = msearch(url, {}, bodies[0], {}, bodies[1], path="/shadowed/_msearch")
    assert told == "passed; reason=shadow"
    assert untimed(several["responses"][1]) == ask(node, "/shadowed/_search", bodies[1])[1]


def test_texts_of_one_id_on_several_shards_are_looked_up_for_each(url: str) -> None:
    shown, filtered = ({"query": FOX, "size": 20, "_source": source} for source in (True, ["n"]))
    with_texts, without = (ask(url, "/routed/_search", body) for body in (shown, filtered))
    assert with_texts[0] == without[0]
    assert "window=20" in without[0]
    assert "texts_not_found" not in without[0]
    listed = [[(hit["_source"]["n"], hit["_score"]) for hit in got["hits"]["hits"]] for _, got in (with_texts, without)]
    assert listed[0] == listed[1]
    several = msearch(url, {"index": "routed"}, filtered)[1]["responses"][0]
    assert [hit["_source"]["n"] for hit in several["hits"]["hits"]] == [n for n, _ in listed[0]]


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "min_score": st.sampled_from([0.0, 0.4, 0.5, 0.51, 0.6, 2.0]),
        "fusion": st.sampled_from(["rrf", "replace", {"method": "linear", "weight": 0.3}]),
        "explain": st.booleans(),
    },
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "collapse": st.just({"field": "tag"}),
        "explain": st.booleans(),
        "_source": st.sampled_from([True, False, ["n"]]),
    },
)


@settings(max_examples=12, deadline=None)
@given(
    window=st.sampled_from([1, 5, 20, 45, 60]),
    size=st.integers(3, 25),
    first=st.integers(0, 4),
    rescore=OPTIONS,
    shape=LISTS,
    filtered=st.sampled_from(["", "?filter_path=hits.hits._id,hits.hits._score", "?filter_path=-took"]),
)
def test_no_option_makes_a_position_of_the_list_unreachable(
    url: str,
    node: str,
    window: int,
    size: int,
    first: int,
    rescore: dict[str, Any],
    shape: dict[str, Any],
    filtered: str,
) -> None:
    search = {"query": LISTED, **shape}
    direct = [hit["_id"] for hit in ask(node, "/articles/_search", search | {"size": HITS + 9})[1]["hits"]["hits"]]
    ours = search | {"ext": {"rescore": rescore | {"window_size": window}}}
    starts = [0, *range(first, len(direct) + 2 * size, size)] if first else range(0, len(direct) + 2 * size, size)
    pages = []
    for start in starts:
        wanted = first if first and start == 0 else size
        found = ask(url, f"/articles/_search{filtered}", ours | {"from": start, "size": wanted})[1]
        pages.append((wanted, [hit["_id"] for hit in found.get("hits", {}).get("hits", [])]))
        scores = [hit["_score"] for hit in found.get("hits", {}).get("hits", [])]
        assert scores == sorted(scores, reverse=True)
    listed = [name for _, page in pages for name in page]
    at_first_short = next(i for i, (wanted, page) in enumerate(pages) if len(page) < wanted)
    assert not any(page for _, page in pages[at_first_short + 1 :])
    assert len(set(listed)) == len(listed)
    if "min_score" not in rescore:
        assert sorted(listed[:window]) == sorted(direct[:window])
        assert listed[window:] == direct[window:]
        return
    unlimited = {name: value for name, value in rescore.items() if name != "min_score"}
    whole = search | {"ext": {"rescore": unlimited | {"window_size": window}}, "size": window}
    scored = ask(url, "/articles/_search", whole)[1]["hits"]["hits"]
    assert listed == [hit["_id"] for hit in scored if hit["_score"] >= rescore["min_score"]]
