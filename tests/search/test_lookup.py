"""Texts that the client's filter hides are looked up by id, and go to the hits they belong to."""

from __future__ import annotations

import json

import pytest

from sidecar.config.model import IndexMapping
from sidecar.search import lookup
from sidecar.search.plan import RescorePlan, plan
from sidecar.search.response import FirstStage, read
from sidecar.search.types import SearchRequest


def filtered(source: object = None, **more: object) -> RescorePlan:
    body = {"query": {"match": {"t": "x"}}, "_source": ["n"] if source is None else source, **more}
    request = SearchRequest(
        method="POST",
        target="/i/_search",
        body=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    found = plan(request, IndexMapping.model_validate({"fields": ["t", "n"], "window_size": 2}), "i", ())
    assert isinstance(found, RescorePlan)
    return found


def first(how: RescorePlan) -> FirstStage:
    hits = [
        {"_index": index, "_id": name, "_source": {"n": name}} for index, name in (("a", "1"), ("b", "1"), ("a", "2"))
    ]
    return read(json.dumps({"hits": {"hits": hits}}).encode(), how)


def test_the_client_s_search_stays_as_it_is() -> None:
    how = filtered()
    assert b"fields" not in how.body
    assert how.looked_up == ("t",)
    target, body = lookup.request(first(how), how) or ("", b"")
    assert target.startswith("/a,b/_search?filter_path=")
    expected = {"query": {"ids": {"values": ["1"]}}, "size": 2, "_source": False, "fields": ["t"]}
    assert json.loads(body) == expected


@pytest.mark.parametrize("source", [True, ["t", "n"], ["*"]])
def test_what_is_shown_is_not_looked_up(source: object) -> None:
    how = filtered(source)
    assert lookup.request(first(how), how) is None


@pytest.mark.parametrize("more", [{}, {"fields": ["x*"]}, {"docvalue_fields": ["n"]}, {"stored_fields": ["*"]}])
def test_what_does_not_come_for_sure_is_looked_up(more: dict[str, object]) -> None:
    assert filtered(False, **more).looked_up == ("t", "n")


def test_fields_that_the_client_has_anyway_are_read_from_there() -> None:
    assert filtered(False, fields=["n", "*t"]).looked_up == ()


@pytest.mark.parametrize("source", [{}, {"_source": {}}, {"_source": {"t": "x"}}])
def test_stored_fields_are_asked_for_where_there_is_no_source(source: dict[str, object]) -> None:
    how = filtered(True)
    found = read(json.dumps({"hits": {"hits": [{"_index": "a", "_id": "1"} | source]}}).encode(), how)
    wanted = lookup.request(found, how)
    assert (wanted is None) == bool(source)
    if wanted is not None:
        assert json.loads(wanted[1])["stored_fields"] == ["t", "n"]


def test_texts_go_to_their_hits() -> None:
    how = filtered()
    found = [
        {"_index": "b", "_id": "1", "fields": {"t": ["of b"]}},
        {"_index": "a", "_id": "1", "fields": {"t": ["of a"]}},
    ]
    after = lookup.completed(first(how), how, json.dumps({"hits": {"hits": found}}).encode())
    assert [hit.text for hit in after.hits] == ["of a 1", "of b 1", ""]
    assert after.missing_fields == 0
    assert [hit.raw for hit in after.hits] == [hit.raw for hit in first(how).hits]


def test_a_document_that_is_gone_lacks_its_text() -> None:
    how = filtered()
    after = lookup.completed(first(how), how, b"{}")
    assert ([hit.text for hit in after.hits[:2]], after.missing_fields) == (["1", "1"], 2)


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected `object`, got `array`"):
        lookup.completed(first(filtered()), filtered(), b"[]")


def test_a_target_that_would_be_too_long_is_not_asked() -> None:
    how = filtered()
    hits = [{"_index": "x" * 2000 + str(i), "_id": "1"} for i in range(2)]
    assert lookup.request(read(json.dumps({"hits": {"hits": hits}}).encode(), how), how) is None
