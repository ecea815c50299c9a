"""Laws that hold for any server, against a real OpenSearch: one list on all pages, and `filter_path` as the node's."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.elasticsearch.filter_path import excludes
from tests.end_to_end.test_every_page import QUERY
from tests.end_to_end.test_features import send
from tests.end_to_end.test_filter_path import FILTERS, ODD, PATHS, assert_alike
from tests.opensearch.conftest import ask


@pytest.mark.parametrize("window", [7, 100])
@pytest.mark.parametrize("size", [3, 10, 60])
def test_the_list_is_one_on_all_pages(url: str, node: str, window: int, size: int) -> None:
    def page(at: str, from_: int, hits: int) -> list[str]:
        body = {"query": QUERY, "from": from_, "size": hits, "_source": ["n"]}
        chosen = {} if at == node else {"ext": {"rescore": {"window_size": window}}}
        return ask(at, "/articles/_search", body | chosen).ids

    direct, rescored = page(node, 0, 130), page(url, 0, 130)
    assert sorted(rescored[:window]) == sorted(direct[:window])
    assert rescored[:window] != direct[:window]
    assert rescored[window:] == direct[window:]
    assert [name for at in range(0, 130, size) for name in page(url, at, size)] == rescored


@pytest.fixture(scope="session")
def odd(node: str) -> str:
    """The URL of a node with two documents of odd names and empty values."""
    send(node, "/odd?ignore_unavailable=true", "DELETE")
    send(node, "/odd", "PUT", b'{"mappings":{"enabled":false}}')
    for name, document in (("1", ODD), ("2", {"title": "fox", "x": {"y": {"q": 1}}})):
        send(node, f"/odd/_doc/{name}?refresh=true", "PUT", json.dumps(document, separators=(",", ":")).encode())
    return node


@pytest.mark.parametrize("filters", FILTERS)
def test_a_filter(url: str, odd: str, filters: str) -> None:
    """A filter that is applied here is applied as OpenSearch does; others are left to it."""
    if excludes(filters):
        answer = ask(url, f"/articles/_search?filter_path={quote(filters)}", {"query": QUERY})
        assert answer.outcome == "passed; reason=filter_path"
    else:
        assert_alike(odd, filters)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PATHS, min_size=1, max_size=3).map(",".join).filter(lambda filters: not excludes(filters)))
def test_any_filter(odd: str, filters: str) -> None:
    assert_alike(odd, filters)
