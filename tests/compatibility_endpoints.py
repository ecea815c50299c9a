"""The endpoints of docs/elasticsearch-compatibility.md as data, each with a request line that leads to it."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.reasons import Reason

_INDICES = "test_index_expressions.py::test_an_expression"
_PASSES = "test_features.py::test_an_endpoint_that_passes"
_UNTOUCHED = "test_differential.py::test_a_call_is_answered_as_elasticsearch_answers_it"
UNTOUCHED = "untouched, no header"


@dataclass(frozen=True)
class Endpoint:
    """A row: the request line, what happens (a reason, or words), and the test that shows it."""

    name: str
    method: str
    target: str
    outcome: str
    test: str
    note: str = ""


def _skipped(name: str, target: str, reason: str) -> Endpoint:
    return Endpoint(name, "POST", target, reason, _PASSES)


ENDPOINTS = (
    Endpoint("`_search`", "POST", "/i/_search", "rescored", "test_features.py::test_a_feature_that_is_rescored"),
    Endpoint(
        "`_search` on aliases, wildcards, lists, date math, data streams",
        "POST",
        "/a*,b/_search",
        "rescored",
        _INDICES,
        "where one mapping holds for all",
    ),
    Endpoint("`_search` on indices with no mapping", "POST", "/other/_search", "passed, `no_mapping`", _INDICES),
    Endpoint("`_search` on indices with different mappings", "POST", "/_search", "passed, `mixed_mappings`", _INDICES),
    Endpoint(
        "`_msearch`",
        "POST",
        "/_msearch",
        "rescored",
        "test_msearch.py::test_each_search_is_answered_as_it_would_be_alone",
        "all searches in one batch",
    ),
    Endpoint(
        "`_search/template`",
        "POST",
        "/i/_search/template",
        "rescored",
        "test_stood_in.py::test_a_template_is_answered_as_the_search_it_is_rendered_to",
        "once Elasticsearch has rendered it",
    ),
    Endpoint(
        "`_msearch/template`",
        "POST",
        "/_msearch/template",
        "rescored",
        "test_stood_in.py::test_several_templates_are_fetched_and_scored_together",
        "once Elasticsearch has rendered them",
    ),
    Endpoint(
        "`_async_search`",
        "POST",
        "/i/_async_search",
        "rescored",
        "test_stood_in.py::test_an_async_search_is_rescored_when_it_is_complete",
        "when it is complete",
    ),
    Endpoint(
        "`_async_search/<id>`",
        "GET",
        "/_async_search/x",
        "rescored",
        "test_stood_in.py::test_an_async_search_is_rescored_when_it_is_complete",
        "when it is complete",
    ),
    Endpoint(
        "`_async_search/<id>` of another sidecar",
        "GET",
        "/_async_search/x",
        "passed, `async_unknown`",
        "test_stood_in.py::test_an_async_search_that_was_not_submitted_here_passes",
    ),
    Endpoint(
        "`_async_search` where the server lacks it",
        "POST",
        "/i/_async_search",
        "passed, `widened_refused`",
        "test_stood_in.py::test_a_node_without_these_modules_says_so_itself",
    ),
    Endpoint(
        "`_pit`, opened",
        "POST",
        "/i/_pit",
        "passed, `pit_open`",
        "test_point_in_time.py::test_a_pit_that_is_opened_here_is_known",
        "its searches are rescored",
    ),
    _skipped("`_search/scroll`", "/_search/scroll", Reason.SCROLL),
    _skipped("`_knn_search`", "/i/_knn_search", Reason.KNN_SEARCH),
    _skipped("`_mvt`", "/i/_mvt/f/1/1/1", Reason.VECTOR_TILE),
    _skipped("`_rank_eval`", "/i/_rank_eval", Reason.RANK_EVAL),
    _skipped("`_rollup_search`", "/i/_rollup_search", Reason.ROLLUP),
    _skipped("`_eql/search`", "/i/_eql/search", Reason.EQL),
    _skipped("`_fleet/_fleet_search`", "/i/_fleet/_fleet_search", Reason.FLEET_SEARCH),
    _skipped("`_fleet/_fleet_msearch`", "/i/_fleet/_fleet_msearch", Reason.FLEET_SEARCH),
    _skipped(
        "`_application/search_application/<name>/_search`",
        "/_application/search_application/x/_search",
        Reason.SEARCH_APPLICATION,
    ),
    Endpoint("`_count`", "POST", "/i/_count", UNTOUCHED, _UNTOUCHED),
    Endpoint("`_explain`", "POST", "/i/_explain/1", UNTOUCHED, _UNTOUCHED),
    Endpoint("`_validate/query`", "POST", "/i/_validate/query", UNTOUCHED, _UNTOUCHED),
    Endpoint(
        "`_search_shards`, `_field_caps`, `_termvectors`, `_query`, and all else",
        "GET",
        "/i/_search_shards",
        UNTOUCHED,
        _UNTOUCHED,
    ),
)
"""Every endpoint that answers hits, or looks as if it did."""
