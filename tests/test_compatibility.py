"""The table of docs/elasticsearch-compatibility.md, checked against what the code decides for each of its requests."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.target import parameters
from sidecar.reasons import Reason
from sidecar.rescoring import endpoints, unsuitable, window
from sidecar.rescoring import plan as planning
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.plan import RescorePlan, plan
from tests import compatibility
from tests.compatibility import FEATURES, RESCORED, SENT, Feature, Search
from tests.compatibility_endpoints import ENDPOINTS, UNTOUCHED, Endpoint

ROOT = Path(__file__).parents[1]
MAPPING = IndexMapping(fields=("title", "body"))
# The client's names of body members that differ, and what only Elastic's serverless offering takes.
SPELLED = {"from_": "from", "source": "_source", "source_includes": "_source_includes"}
SPELLED |= {"source_excludes": "_source_excludes", "source_exclude_vectors": "_source_exclude_vectors"}
NOT_OURS = {"self", "index", "body", "project_routing", "route_slice"}


def test_the_tables_are_current() -> None:
    page = compatibility.PAGE.read_text("utf-8")
    assert page == compatibility.updated(page), "run scripts/generate-schema"
    assert page.count("<!-- /generated: ") == 2


@pytest.mark.parametrize(("feature", "search"), SENT, ids=[f"{row.name} {search.name}" for row, search in SENT])
def test_what_the_table_says_is_what_is_planned(feature: Feature, search: Search) -> None:
    body = b"" if search.body is None else json.dumps(search.body).encode()
    headers = {"content-type": "application/json"} | {name.lower(): text for name, text in search.headers.items()}
    planned = plan(
        SearchRequest(method="POST", target=search.path, body=body, headers=headers), MAPPING, "i", {None: Fusion()}
    )
    assert isinstance(planned, RescorePlan | Reason)
    assert (RESCORED if isinstance(planned, RescorePlan) else planned) == feature.outcome


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.name)
def test_what_the_table_says_is_where_the_request_goes(row: Endpoint) -> None:
    found = route(row.method, row.target)
    assert (found is None) == (row.outcome == UNTOUCHED)
    if found is not None and isinstance(found.endpoint.handler, Reason):
        assert found.endpoint.handler == row.outcome


def test_every_endpoint_of_the_router_is_in_the_table() -> None:
    led = {found.endpoint.name for row in ENDPOINTS if (found := route(row.method, row.target)) is not None}
    of_opensearch = {"search_pit"}
    assert led == {endpoint.name for endpoint in endpoints.ENDPOINTS} - of_opensearch


def test_every_reason_that_a_request_alone_decides_is_in_the_table() -> None:
    """Those that planning and the table of endpoints name."""
    modules = (planning, unsuitable, window, endpoints)
    names = {name for module in modules for name in re.findall(r"\bReason\.([A-Z_0-9]+)", inspect.getsource(module))}
    told = " ".join([*(row.outcome for row in FEATURES), *(row.outcome for row in ENDPOINTS)])
    missing = {name for name in names if Reason[name] not in told}
    # No decoded body can show the first; the node's own limit of a request line is below the second's; OpenSearch alone
    # has the third (docs/opensearch.md).
    assert missing == {"UNPARSABLE", "FILTER_PATH", "SEARCH_PIPELINE"}


def test_every_parameter_of_the_official_client_is_in_the_table() -> None:
    used = {name for _, search in SENT for name in [*(search.body or {}), *parameters(search.path)]}
    for name in inspect.signature(Elasticsearch.search).parameters:
        assert SPELLED.get(name, name) in used or name in NOT_OURS, f"{name} is not in the table"


@pytest.mark.parametrize("test", sorted({row.test for row in FEATURES} | {row.test for row in ENDPOINTS}))
def test_every_test_of_the_table_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / "tests" / "end_to_end" / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
