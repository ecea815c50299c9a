"""The table of features against a real OpenSearch: what it knows is rescored as on an Elasticsearch, or passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.compatibility import RESCORED, SENT, Feature, Search
from tests.end_to_end.test_features import assert_permuted, sent, untimed

ROWS = [pytest.param(row, search, id=f"{row.name} {search.name}") for row, search in SENT if search.index == "articles"]


@pytest.mark.parametrize(("row", "search"), ROWS)
def test_a_feature(url: str, node: str, row: Feature, search: Search) -> None:
    """Whatever OpenSearch answers, it answers through the sidecar; what it ranks is rescored."""
    plain = replace(search, body={name: value for name, value in (search.body or {}).items() if name != "ext"} or None)
    status, headers, answer = sent(node, plain)
    if status == 200 and row.outcome == RESCORED:
        assert_permuted(url, node, search if plain == search else plain)
        return
    got = sent(url, search)
    assert got[1]["X-Rescore"].startswith("passed; reason=")
    assert got[0] == status
    if "json" in headers.get("content-type", ""):
        assert untimed(got[2]) == untimed(answer)


def test_most_features_are_known_to_opensearch(node: str) -> None:
    rescored = [search for row, search in SENT if row.outcome == RESCORED and search.index == "articles"]
    assert sum(sent(node, search)[0] == 200 for search in rescored) >= 75
