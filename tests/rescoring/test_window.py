"""Which part of a list is asked for, and what depends on how much is asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sidecar.reasons import Reason
from sidecar.rescoring.values import Window
from sidecar.rescoring.window import ListLimit, list_limit, window

KNN = {"knn": {"field": "v", "query_vector": [1]}}
DEEP: Any = KNN
for _ in range(900):
    DEEP = {"bool": {"must": [DEEP]}}


def wrapped(query: Any) -> dict[str, Any]:
    return {"wrapper": {"query": base64.b64encode(json.dumps(query).encode()).decode()}}


@pytest.mark.parametrize(
    ("body", "exact"),
    [
        ({"query": KNN}, True),
        ({"query": {"knn": KNN["knn"] | {"k": 3}}}, False),
        ({"query": {"knn": KNN["knn"] | {"k": None}}}, True),
        ({"knn": [KNN["knn"] | {"k": 3}, KNN["knn"]]}, True),
        ({"query": {"semantic": {"field": "t", "query": "x"}}}, True),
        ({"aggs": {"a": {"aggs": {"b": {"filter": KNN}}}}}, True),
        ({"rescore": {"query": {"rescore_query": KNN}}}, True),
        ({"sub_searches": [{"query": KNN}]}, True),
        ({"retriever": {"rrf": {"retrievers": [{"standard": {"query": KNN}}]}}}, True),
        ({"query": DEEP}, True),
        ({"query": wrapped(wrapped(KNN))}, True),
        ({"query": wrapped({"match": {"t": "x"}})}, False),
        ({"query": wrapped({"match": {"t": "half an emoji \ud83d", "boost": 1}})}, False),
        ({"query": wrapped({"bool": {"should": [{"match": {"t": "half an emoji \ud83d"}}, KNN]}})}, True),
        ({"query": {"wrapper": {"query": "no base64 of JSON"}}}, True),
        ({"query": {"match": {"t": "knn"}}}, False),
    ],
)
def test_what_depends_on_size_is_found_however_deep(body: dict[str, Any], exact: bool) -> None:
    assert list_limit(body).exact == exact


@pytest.mark.parametrize(
    ("rescore", "hits"),
    [
        ({"query": {}}, None),
        ({"query": {"score_mode": "max", "query_weight": 0.2}}, None),
        ({"query": {"score_mode": "multiply"}}, 10),
        ({"window_size": 30, "query": {"score_mode": "avg"}}, 30),
        ({"window_size": 30, "query": {"rescore_query_weight": -1}}, 30),
        ([{"window_size": 30, "script": {}}, {"window_size": 20, "learning_to_rank": {}}, {"query": {}}], 20),
    ],
)
def test_a_rescore_that_can_lower_scores_bounds_the_window(rescore: Any, hits: int | None) -> None:
    assert list_limit({"rescore": rescore}).hits == hits


def parts(found: Window | Reason) -> tuple[int, int, int]:
    """Return how many hits the window's request asks for, and where and how long the page goes on after them."""
    assert isinstance(found, Window)
    return found.fetched, found.rest_from, found.rest_size


def test_the_window_is_the_same_for_every_page() -> None:
    assert [parts(window(from_, 10, 25)) for from_ in (0, 10, 20)] == [(25, 25, 0), (25, 25, 0), (25, 25, 5)]
    assert window(25, 10, 25) == Reason.BEYOND_WINDOW
    assert parts(window(30, 10, 25, ends=True)) == (25, 30, 10)


def test_a_limit_bounds_the_window_and_the_page() -> None:
    ranked = ListLimit(hits=20, ends=True)
    assert parts(window(15, 10, 18, ranked)) == (18, 18, 2)
    assert window(0, 21, 100, ranked) == Reason.RANK_WINDOW
    exact = ListLimit(exact=True)
    assert parts(window(0, 10, 4, exact)) == (10, 10, 0)
    assert parts(window(3, 10, 100, exact)) == (10, 10, 3)
    assert window(10, 10, 100, exact) == Reason.KNN_SIZE
