"""What the model reads of a long query."""

from __future__ import annotations

import json

import pytest

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.request import SearchRequest
from sidecar.rescoring.plan import RescorePlan, first_words, plan

WORDS = "  how  do I\tread a zip file "


def read(query: str, **mapping: object) -> str:
    body = json.dumps({"query": {"match": {"t": query}}}).encode()
    headers = {"content-type": "application/json"}
    request = SearchRequest(method="POST", target="/i/_search", body=body, headers=headers)
    found = plan(request, IndexMapping.model_validate({"fields": ["t"], **mapping}), "i", {None: Fusion()})
    assert isinstance(found, RescorePlan)
    assert found.query_text.split() == query.split()
    return found.read_text


def test_the_first_words_of_a_long_query_are_read() -> None:
    long = " ".join(f"w{i}" for i in range(80))
    assert read(long, max_query_words=25).split() == long.split()[:25]
    assert read(long, max_query_words=None) == long
    assert len(read(long).split()) == IndexMapping.model_validate({"fields": ["t"]}).max_query_words


@pytest.mark.parametrize(("count", "expected"), [(1, "  how"), (3, "  how  do I"), (7, WORDS.rstrip()), (8, WORDS)])
def test_words_are_counted_and_the_text_before_them_stays(count: int, expected: str) -> None:
    assert first_words(WORDS, count) == expected
