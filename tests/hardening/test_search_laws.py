"""The laws of `scripts/fuzz search` notice what they are for, and let pass what rescoring may do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hardening.search_answers import Outcome, Reply, take_apart
from hardening.search_cases import case, mappings
from hardening.search_laws import Page, Question, of_list, of_page, of_texts, text_of
from hardening.search_queries import size_matters
from hardening.search_shrinking import as_curl, smaller

RERANKED = "reranked; window=3; model=tiny"
HEADERS = {"content-type": "application/json"}


def hit(name: str, score: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"_index": "i", "_id": name, "_score": score, "_source": {"t": name}, **more}


def reply(hits: Sequence[dict[str, Any]], status: int = 200, header: str = "", **more: Any) -> Reply:
    best = max((each["_score"] for each in hits), default=None)
    total = {"value": 6, "relation": "eq"}
    answer = {"took": 3, "_shards": {"failed": 0}, "hits": {"total": total, "max_score": best, "hits": hits}, **more}
    headers = HEADERS | ({"x-rescore": header} if header else {})
    return Reply(status, headers, json.dumps(answer, separators=(",", ":")).encode())


LIST = [hit(name, 9.0 - i) for i, name in enumerate("abcdef")]


def page(through: Reply, start: int = 0, size: int = 4, direct: Reply | None = None) -> Page:
    node = reply(LIST[start : start + size]) if direct is None else direct
    return Page(start, size, node, through, Outcome.read(through.headers.get("x-rescore", "")))


def question(**more: Any) -> Question:
    known: dict[str, Any] = {
        "pools": dict.fromkeys((1, 3, 4), take_apart(reply(LIST[:3]).body.decode())),
        "texts": {},
        "size_matters": False,
        "cut": False,
        "replaces": True,
        "reasons": frozenset({"shadow", "deadline"}),
    }
    return Question(**known | more)


def hits(names: str) -> list[dict[str, Any]]:
    return [hit(name, 0.9 - i / 10) for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("through", "laws"),
    [
        (reply(hits("cabd"), header=RERANKED), []),
        (reply(LIST[:4], header="passed; reason=shadow"), []),
        (reply(hits("cabe"), header=RERANKED), ["changed after the window"]),
        (reply(hits("daba"), header=RERANKED), ["changed after the window"]),
        (reply(hits("aacd"), header=RERANKED), ["a hit that is not the node's"]),
        (reply(hits("cab"), header=RERANKED), ["page of another length"]),
        (reply([*hits("ca"), *hits("bd")], header=RERANKED), ["scores rise"]),
        (reply(hits("cabd"), header=RERANKED, aggregations={}), ["changed around the hits"]),
        (reply(hits("cabd"), header=RERANKED, _shards={"failed": 1}), ["changed around the hits"]),
        (reply(hits("cabd"), header="passed; reason=shadow"), ["passed but different: shadow"]),
        (reply(hits("cabd"), header="passed; reason=no_hits"), ["unknown reason", "passed but different: no_hits"]),
        (reply(LIST[:4], header="passed; reason=nonsense"), ["unknown reason"]),
        (reply(LIST[:4], header="failed; reason=deadline"), ["unasked: deadline"]),
        (reply(LIST[:4]), ["no outcome"]),
        (reply(LIST[:4], status=400, header="passed; reason=shadow"), ["another status"]),
    ],
)
def test_a_page(through: Reply, laws: list[str]) -> None:
    assert [each.law for each in of_page(page(through), question())] == laws


def test_other_headers_and_a_wrong_highest_score() -> None:
    through = reply(hits("cabd"), header=RERANKED)
    odd = Reply(
        200, {**through.headers, "content-type": "text/plain"}, through.body.replace(b'":0.9,"hits', b'":2.0,"hits')
    )
    assert [each.law for each in of_page(page(odd), question())] == ["other headers", "wrong max_score"]


def test_an_explanation_that_lost_the_nodes_own() -> None:
    explained = [hit(name, _explanation={"value": 1.0}) for name in "abc"]
    pool = take_apart(reply(explained).body.decode())
    through = reply([hit("a", _explanation={"value": 2.0, "details": []})], header=RERANKED)
    found = of_page(page(through, size=1, direct=reply(explained[:1])), question(pools={1: pool}))
    assert [each.law for each in found] == ["explanation lost"]


def test_where_shards_fail_more_may_be_shown_but_not_less() -> None:
    part = reply(LIST[:2], _shards={"failed": 1})
    more, less = (page(reply(hits(names), header=RERANKED), direct=part) for names in ("bca", "cb"))
    assert not [*of_page(more, question())]
    assert [each.law for each in of_page(less, question())] == ["a hit lost beside shards that failed"]
    assert not [*of_page(less, question(cut=True))]
    assert not [*of_page(less, question(neighbours=True))]


def test_of_hits_that_are_collapsed_another_may_stand_for_a_lost_one() -> None:
    own, other = (reply([hit(name, fields={"k": [1]})], header=RERANKED, _shards={"failed": 1}) for name in "ab")
    standing = page(other, direct=own)
    assert not [*of_page(standing, question(collapse="k"))]
    assert [each.law for each in of_page(standing, question())] == ["a hit lost beside shards that failed"]


def test_a_filtered_answer_does_not_tell_that_shards_failed() -> None:
    longer = replace(page(reply(hits("cabd"), header=RERANKED), direct=reply(LIST[:3])), partial=True)
    assert not [*of_page(longer, question())]
    assert not [*of_list([[longer]], question())]


def test_a_page_that_we_cut_empty_lacks_what_a_filter_leaves_out_of_one() -> None:
    named: dict[str, Any] = {"hits": {"hits": [{"_id": "a"}]}}
    counted: dict[str, Any] = {"hits": named["hits"] | {"total": 6}}
    cases: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
        (named, {}, []),
        (counted, {"hits": {"total": 6}}, []),
        (named | {"_shards": {"total": 1}}, {}, ["changed around the hits"]),
        (counted, {}, ["changed around the hits"]),
    ]
    for direct, through, laws in cases:
        old, new = (
            Reply(200, HEADERS | {"x-rescore": RERANKED}, json.dumps(body).encode()) for body in (direct, through)
        )
        cut = page(new, direct=old)
        assert [each.law for each in of_page(cut, question(cut=True))] == laws
        assert "changed around the hits" in [each.law for each in of_page(cut, question())]


def walk(*names: str) -> list[Page]:
    size = len(names[0])
    return [page(reply([hit(name) for name in each], header=RERANKED), i * size, size) for i, each in enumerate(names)]


@pytest.mark.parametrize(
    ("walks", "laws"),
    [
        ([walk("cba", "def", "")], []),
        ([walk("cba", "dea", "")], ["a hit twice in a list", "a hit lost from a list"]),
        ([walk("cba", "de", "")], ["a hit lost from a list"]),
        ([walk("cba", "def", ""), walk("cabdef", "")], ["lists of two clients differ"]),
        ([walk("cba", "def", ""), walk("cbadef", "")], []),
        ([walk("cba", "fed")], []),
    ],
)
def test_a_list_read_page_by_page(walks: list[list[Page]], laws: list[str]) -> None:
    assert [each.law for each in of_list(walks, question())] == laws


def test_a_list_that_we_cut_has_full_pages_up_to_its_end() -> None:
    assert [each.law for each in of_list([walk("abc", "d", "e")], question(cut=True))] == ["hits after a short page"]
    assert not [*of_list([walk("abc", "d", "")], question(cut=True))]


@pytest.mark.parametrize(
    ("answered", "laws"),
    [
        ([hit("a", 0.5), hit("c", 0.5), hit("b", 0.4)], []),
        ([hit("a", 0.5), hit("c", 0.4)], ["equal texts, other scores"]),
        ([hit("c", 0.5), hit("a", 0.5)], ["equal texts left the node's order"]),
    ],
)
def test_equal_texts(answered: list[dict[str, Any]], laws: list[str]) -> None:
    texts = {("i", name, ""): text_of({"t": "same"}, ["t"]) for name in "ac"}
    pages = [page(reply(answered, header=RERANKED))]
    assert [each.law for each in of_texts([pages], question(texts=texts))] == laws


def test_what_depends_on_the_number_of_hits_asked_for() -> None:
    assert size_matters({"query": {"bool": {"should": [{"knn": {"field": "v", "query_vector": [1]}}]}}})
    assert size_matters({"query": {"wrapper": {"query": "eyJrbm4iOnsiZmllbGQiOiJ2In19"}}})
    assert not size_matters({"knn": {"field": "v", "k": 3}, "query": {"match": {"knn": "field"}}})


def test_the_same_seed_gives_the_same_cases_and_smaller_ones_are_smaller() -> None:
    cases = [case(Random(f"7/{i}")) for i in range(200)]
    assert cases == [case(Random(f"7/{i}")) for i in range(200)]
    assert [mappings(Random(i)) for i in range(9)] == [mappings(Random(i)) for i in range(9)]
    assert {made.kind for made in cases} == {"search", "pit", "msearch"}
    assert all(candidate != made for made in cases for candidate in smaller(made))
    assert all(as_curl(made).startswith("curl -X") for made in cases)
