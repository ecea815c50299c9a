"""The table of endpoints: what answers which, and why others are left alone."""

from __future__ import annotations

from typing import Final

from sidecar.elasticsearch import routes
from sidecar.elasticsearch.routes import Endpoint, Route
from sidecar.reasons import Reason
from sidecar.rescoring.async_search import GetAsyncSearch, SubmitAsyncSearch
from sidecar.rescoring.msearch import MultiSearch
from sidecar.rescoring.pit_open import OpenPointInTime
from sidecar.rescoring.search import Search
from sidecar.rescoring.services import Handler
from sidecar.rescoring.templates import MultiSearchTemplate, SearchTemplate

_POST = frozenset({"POST"})
_GET = frozenset({"GET"})

ENDPOINTS: Final[tuple[Endpoint[Handler], ...]] = (
    Endpoint(name="search", path="_search", handler=Search, repeatable=True),
    Endpoint(name="msearch", path="_msearch", handler=MultiSearch, repeatable=True, several=True),
    Endpoint(name="search_template", path="_search/template", handler=SearchTemplate, repeatable=True),
    Endpoint(
        name="msearch_template", path="_msearch/template", handler=MultiSearchTemplate, repeatable=True, several=True
    ),
    Endpoint(name="async_search", path="_async_search", handler=SubmitAsyncSearch, methods=_POST),
    Endpoint(name="async_search_get", path="_async_search/*", handler=GetAsyncSearch, methods=_GET, index="none"),
    Endpoint(name="pit", path="_pit", handler=OpenPointInTime, methods=_POST, index="required"),
    Endpoint(name="search_pit", path="_search/point_in_time", handler=OpenPointInTime, methods=_POST, index="required"),
    Endpoint(name="scroll", path="_search/scroll/**", handler=Reason.SCROLL),
    Endpoint(name="knn_search", path="_knn_search/**", handler=Reason.KNN_SEARCH),
    Endpoint(name="mvt", path="_mvt/**", handler=Reason.VECTOR_TILE),
    Endpoint(name="rank_eval", path="_rank_eval/**", handler=Reason.RANK_EVAL),
    Endpoint(name="rollup_search", path="_rollup_search/**", handler=Reason.ROLLUP),
    Endpoint(name="eql_search", path="_eql/search/**", handler=Reason.EQL),
    Endpoint(name="fleet_search", path="_fleet/_fleet_search/**", handler=Reason.FLEET_SEARCH),
    Endpoint(name="fleet_msearch", path="_fleet/_fleet_msearch/**", handler=Reason.FLEET_SEARCH, several=True),
    Endpoint(
        name="search_application",
        path="_application/search_application/*/_search",
        handler=Reason.SEARCH_APPLICATION,
        index="none",
    ),
)
"""Every endpoint that answers hits, or looks as if it did; all other requests are streamed without a header."""


def route(method: str, target: str) -> Route[Handler] | None:
    """Return the search endpoint that a request line leads to, None where it leads to no search."""
    return routes.route(ENDPOINTS, method, target)
