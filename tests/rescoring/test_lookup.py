"""Texts that the client's filter hides are looked up by index, id and routing, and go to the hits they belong to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.request import SearchRequest
from sidecar.rescoring import lookup
from sidecar.rescoring.first_stage import FirstStage, read
from sidecar.rescoring.plan import RescorePlan, plan

PARAMETERS = "?routing=r&size=3&q=x&ignore_unavailable=true&filter_path=took&_source=x"


def filtered(source: object = None, target: str = "/i,j/_search", window: int = 2, **more: Any) -> RescorePlan:
    body = {"query": {"match": {"t": "x"}}, "_source": ["n"] if source is None else source, **more}
    request = SearchRequest(
        method="POST", target=target, body=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    found = plan(
        request, IndexMapping.model_validate({"fields": ["t", "n"], "window_size": window}), "i", {None: Fusion()}
    )
    assert isinstance(found, RescorePlan)
    return found


HITS = (("a", "1"), ("b", "1"), ("a", "2"))


def first(how: RescorePlan) -> FirstStage:
    hits = [{"_index": index, "_id": name, "_source": {"n": name}} for index, name in HITS]
    return read(json.dumps({"hits": {"hits": hits}}).encode(), how)


def group(index: str, ids: list[str], routing: str | None = None) -> dict[str, Any]:
    documents: list[Any] = [{"term": {"_index": index}}, {"ids": {"values": ids}}]
    if routing is not None:
        return {"bool": {"filter": [*documents, {"term": {"_routing": routing}}]}}
    return {"bool": {"filter": documents, "must_not": [{"exists": {"field": "_routing"}}]}}


def test_the_client_s_search_stays_as_it_is() -> None:
    how = filtered(target="/i,j/_search" + PARAMETERS)
    assert b"fields" not in how.widened.body
    assert how.looked_up == ("t", "n")
    [asked] = lookup.requests(first(how), how)
    assert (asked.method, asked.target) == ("POST", "/i,j/_search?routing=r&ignore_unavailable=true")
    assert json.loads(asked.body) == {
        "query": {"bool": {"filter": [{"bool": {"should": [group("a", ["1"]), group("b", ["1"])]}}]}},
        "size": 2,
        "track_total_hits": False,
        "_source": False,
        "fields": ["t", "n"],
        "stored_fields": ["t", "n"],
    }


def test_a_point_in_time_is_searched_as_it_was() -> None:
    how = filtered(target="/_search", pit={"id": "p", "keep_alive": "1m"})
    [asked] = lookup.requests(first(how), how)
    assert (asked.target, json.loads(asked.body)["pit"]) == ("/_search", {"id": "p", "keep_alive": "1m"})


def test_one_id_on_several_shards_is_several_documents() -> None:
    how = filtered(window=4)
    hits = [{"_index": "a", "_id": "1", "_routing": r} if r else {"_index": "a", "_id": "1"} for r in ("x", "y", None)]
    stage = read(json.dumps({"hits": {"hits": hits}}).encode(), how)
    [asked] = lookup.requests(stage, how)
    [clause] = json.loads(asked.body)["query"]["bool"]["filter"]
    assert clause["bool"]["should"] == [group("a", ["1"], "x"), group("a", ["1"], "y"), group("a", ["1"])]
    found = json.dumps({"hits": {"hits": [hit | {"fields": {"t": [str(i)]}} for i, hit in enumerate(hits)]}})
    after = lookup.completed(stage, how, lookup.found(found.encode()))
    assert [hit.text for hit in after.hits] == ["0", "1", "2"]


def test_many_routings_are_looked_up_in_several_searches() -> None:
    how = filtered(window=250)
    hits = [{"_index": "a", "_id": str(i), "_routing": f"r{i}"} for i in range(250)]
    asked = lookup.requests(read(json.dumps({"hits": {"hits": hits}}).encode(), how), how)
    assert [json.loads(search.body)["size"] for search in asked] == [100, 100, 50]


@pytest.mark.parametrize("source", [True, ["t", "n"], ["*"]])
def test_what_is_shown_is_not_looked_up(source: object) -> None:
    how = filtered(source)
    assert lookup.requests(first(how), how) == []


@pytest.mark.parametrize("more", [{}, {"fields": ["x*"]}, {"docvalue_fields": ["n"]}, {"stored_fields": ["*"]}])
def test_what_does_not_come_for_sure_is_looked_up(more: dict[str, Any]) -> None:
    assert filtered(False, **more).looked_up == ("t", "n")


def test_fields_that_the_client_has_anyway_are_read_from_there() -> None:
    assert filtered(False, fields=["n", "*t"]).looked_up == ()


def test_stored_fields_are_asked_for_where_an_index_has_no_source() -> None:
    how = filtered(True, window=3)
    hits = [{"_index": "a", "_id": "1", "_source": {"t": "x"}}, {"_index": "b", "_id": "2"}]
    hits.append({"_index": "a", "_id": "3", "_source": {}})
    stage = read(json.dumps({"hits": {"hits": hits}}).encode(), how)
    [asked] = lookup.requests(stage, how)
    body = json.loads(asked.body)
    assert (body["size"], body["stored_fields"]) == (1, ["t", "n"])
    answer = json.dumps({"hits": {"hits": [{"_index": "b", "_id": "2", "fields": {"t": ["y"]}}]}})
    after = lookup.completed(stage, how, lookup.found(answer.encode()))
    assert ([hit.text for hit in after.hits], after.texts_not_found) == (["x", "y", ""], 0)


def test_texts_go_to_their_hits() -> None:
    how = filtered(["x"])
    found = [
        {"_index": "b", "_id": "1", "fields": {"t": ["of b"], "n": ["1"]}},
        {"_index": "a", "_id": "1", "fields": {"t": ["of a"], "n": ["1"]}},
    ]
    after = lookup.completed(first(how), how, lookup.found(json.dumps({"hits": {"hits": found}}).encode()))
    assert [hit.text for hit in after.hits] == ["of a 1", "of b 1", ""]
    assert (after.missing_fields, after.texts_not_found) == (0, 0)
    assert [hit.raw for hit in after.hits] == [hit.raw for hit in first(how).hits]


def test_a_text_that_is_not_found_is_counted_and_not_judged_by_a_part_of_it() -> None:
    how = filtered(["n"])
    assert [hit.text for hit in first(how).hits[:2]] == ["1", "1"]
    after = lookup.completed(first(how), how, lookup.found(b"{}"))
    assert ([hit.text for hit in after.hits[:2]], after.texts_not_found, after.textless(2)) == (["", ""], 2, 2)


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected `object`, got `array`"):
        lookup.found(b"[]")
