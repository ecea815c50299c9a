"""Request lines: this method and target in, exactly this endpoint out."""

from __future__ import annotations

import pytest

from sidecar.elasticsearch.target import parameters, with_parameters
from sidecar.rescoring.endpoints import route


@pytest.mark.parametrize(
    ("method", "target", "endpoint", "index"),
    [
        ("GET", "/_search", "search", None),
        ("POST", "/a,b-*/_search?size=1", "search", "a,b-*"),
        ("POST", "//a//_search/", "search", "a"),
        ("POST", "/%61%2Cb/%5Fsearch", "search", "a,b"),
        ("POST", "/_all/_search", "search", "_all"),
        ("POST", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "search", "<logs-{now/d}>"),
        ("POST", "/_msearch", "msearch", None),
        ("GET", "/i/_msearch", "msearch", "i"),
        ("POST", "/i/_search/template", "search_template", "i"),
        ("POST", "/_msearch/template", "msearch_template", None),
        ("POST", "/i/_async_search", "async_search", "i"),
        ("GET", "/_async_search/abc", "async_search_get", None),
        ("POST", "/i/_pit", "pit", "i"),
        ("POST", "/_search/scroll", "scroll", None),
        ("GET", "/_search/scroll/id", "scroll", None),
        ("POST", "/i/_mvt/f/1/1/1", "mvt", "i"),
        ("POST", "/_application/search_application/x/_search", "search_application", None),
    ],
)
def test_searches(method: str, target: str, endpoint: str, index: str | None) -> None:
    found = route(method, target)
    assert found is not None
    assert (found.endpoint.name, found.index) == (endpoint, index)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/i/_search"),
        ("HEAD", "/_search"),
        ("DELETE", "/_search/scroll"),
        ("GET", "/i/_async_search"),
        ("POST", "/_async_search/abc"),
        ("GET", "/i/_async_search/abc"),
        ("POST", "/_pit"),
        ("DELETE", "/_pit"),
        ("GET", "/"),
        ("GET", "/idx%2f_search"),
        ("GET", "/i/_doc/_search"),
        ("POST", "/i/_search/other"),
        ("POST", "/i/_count"),
        ("GET", "/i/j/_search"),
    ],
)
def test_what_is_no_search(method: str, target: str) -> None:
    assert route(method, target) is None


def test_parameters_are_read_as_elasticsearch_reads_them() -> None:
    """The end-to-end tests hold more of these against the node."""
    assert parameters("/_search?a=1&b=x+y;a=%32&flag&=v&==w=&&=&c=%C3%A9&d=1%%=2#e=3") == {
        "a": "2",
        "b": "x y",
        "flag": "",
        "v": "",
        "w": "",
        "c": "é",
        "d": "1%=2",
    }
    assert parameters("/_search") == parameters("/_search?#a=1") == {}


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "a%4&b=1", "b&%=1", "%c3%a9%"])
def test_an_escape_that_is_not_whole_is_refused(escape: str) -> None:
    with pytest.raises(ValueError, match="an escape is not whole"):
        parameters(f"/_search?{escape}")
    assert route("GET", f"/{escape}/_search") is None


def test_parameters_that_are_taken_out_leave_the_others_as_they_were() -> None:
    target = "/i/_search?q=a+b%20c&size=5;pretty&s%69ze=6"
    assert with_parameters(target, frozenset({"size"}), {}) == "/i/_search?q=a+b%20c&pretty"
    assert with_parameters(target, frozenset({"size", "q", "pretty"}), {"from": "0"}) == "/i/_search?from=0"
    assert with_parameters("/i/_search?size=1", frozenset({"size"}), {}) == "/i/_search"
