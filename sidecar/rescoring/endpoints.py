"""The table of endpoints: which part answers which, and why others are left alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Final

from sidecar.config.match import Match
from sidecar.events import RescoreObserver, RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.async_search import AsyncSearches
from sidecar.rescoring.call import Call
from sidecar.rescoring.matching import match_expression
from sidecar.rescoring.multi import MultiSearch
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.point_in_time import PointsInTime, pit_id
from sidecar.rescoring.resolver import IndexResolver
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch
from sidecar.rescoring.templates import Templates
from sidecar.scoring.types import Scorer
from sidecar.search import routes
from sidecar.search.multi import SubSearch
from sidecar.search.plan import may_override, without_override
from sidecar.search.routes import Endpoint, Route
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch

MatchName = Callable[[str | None], Awaitable[Match | PassThrough]]
_POST = frozenset({"POST"})
_GET = frozenset({"GET"})
_SEVERAL = frozenset({"msearch", "msearch_template", "fleet_msearch"})


class Endpoints:
    """Answers requests by the table of endpoints. Long-lived: holds what each endpoint remembers."""

    def __init__(
        self,
        scorer: Scorer,
        models: Collection[str],
        observer: RescoreObserver,
        resolver: IndexResolver,
        clock: Callable[[], float],
    ) -> None:
        self._resolver = resolver
        self._pipeline = Pipeline(scorer, clock)
        self._shadow = Shadow(scorer, observer, clock)
        self._single = SingleSearch(self._pipeline, self._shadow, models, resolver)
        self._multi = MultiSearch(self._single, self._pipeline, self._shadow)
        self._templates = Templates(self._single, self._multi)
        self._async = AsyncSearches(self._single, self._pipeline, self._shadow)
        self._points = PointsInTime()

    def refusal(self, route: Route[Handle]) -> PassThrough | None:
        """Return the reason not even to read a request's body, or None."""
        if route.endpoint.name == "async_search_get" and not self._async.knows(route.words[-1]):
            return PassThrough(Reason.ASYNC_UNKNOWN)
        return None

    async def answer(self, route: Route[Handle], call: Call) -> Answer | PassThrough:
        """Answer a request, or say why it goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        name, handler = route.endpoint.name, route.endpoint.handler
        if isinstance(handler, Reason):
            return await self.passed(name, call, PassThrough(handler))
        return await self.passed(name, call, call.passed) if call.passed else await handler(self, call)

    async def search(self, call: Call) -> Answer | PassThrough:
        """Answer `_search`."""
        return await self._one("search", call, self._single.answer)

    async def template(self, call: Call) -> Answer | PassThrough:
        """Answer `_search/template`."""
        return await self._one("search_template", call, self._templates.answer)

    async def submit(self, call: Call) -> Answer | PassThrough:
        """Answer `_async_search`."""
        return await self._one("async_search", call, self._async.submit)

    async def several(self, call: Call) -> Answer | PassThrough:
        """Answer `_msearch`."""
        return await self._multi.answer(call.request, self._subs(call), call.fetch, strict=_strict(call))

    async def several_templates(self, call: Call) -> Answer | PassThrough:
        """Answer `_msearch/template`."""
        subs = self._subs(call)
        return await self._templates.answer_several(call.request, subs, call.fetch, strict=_strict(call))

    async def get(self, call: Call) -> Answer | PassThrough:
        """Answer `_async_search/<id>`."""
        return await self._async.get(call.words[-1], call.request, call.fetch)

    async def open(self, call: Call) -> Answer:
        """Answer `_pit`."""
        request = call.request
        upstream = await call.fetch(request.method, request.target, request.body or None, None)
        self._points.learn_opened(upstream, call.index or "")
        pattern = None if call.match is None else call.match.pattern
        return answer.from_upstream(upstream, RescoreRecord(outcome="passed", reason=Reason.PIT_OPEN, mapping=pattern))

    async def _one(self, name: str, call: Call, handle: AnswerOne) -> Answer | PassThrough:
        """Answer one search; one whose path names no index is on a point in time, or on all indices."""
        request = call.request
        if call.match is not None:
            return await handle(call.match, request, call.fetch)
        pit = pit_id(request.body)
        expression = None if pit is None else await self._points.find(pit, request, call.fetch)
        matched = expression if isinstance(expression, PassThrough) else await self._match(call)(expression)
        if isinstance(matched, PassThrough):
            return await self.passed(name, call, matched)
        answered = await handle(matched, request, call.fetch)
        if pit is not None and isinstance(answered, Answer):
            self._points.follow(answered.body, pit)
        return answered

    async def passed(self, name: str, call: Call, found: PassThrough) -> Answer | PassThrough:
        """Answer what no mapping applies to: it goes on less our `ext.rescore`, which Elasticsearch would refuse.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        request = call.request
        if not may_override(request.body):
            return found
        if name == "search_template":
            return await self._templates.passed(found, request, call.fetch)
        if name not in _SEVERAL:
            return replace(found, body=without_override(request))
        several = self._templates.answer_several if name == "msearch_template" else self._multi.answer

        async def pass_each(_: SubSearch) -> PassThrough:
            return found

        answered = await several(request, pass_each, call.fetch, strict=False)
        return replace(answered, reason=found.reason) if isinstance(answered, PassThrough) else answered

    def _match(self, call: Call) -> MatchName:
        async def match(expression: str | None) -> Match | PassThrough:
            return await match_expression(expression, call.config, self._resolver, call.request.headers, call.fetch)

        return match

    def _subs(self, call: Call) -> Callable[[SubSearch], Awaitable[Match | PassThrough]]:
        match = self._match(call)

        async def find(sub: SubSearch) -> Match | PassThrough:
            name = pit_id(sub.body)
            expression = sub.index or call.index if name is None else self._points.known(name)
            return expression if isinstance(expression, PassThrough) else await match(expression)

        return find

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._shadow.close()


def _strict(call: Call) -> bool:
    return call.config.on_failure == "error"


AnswerOne = Callable[[Match, SearchRequest, Fetch], Awaitable[Answer | PassThrough]]
Handle = Callable[[Endpoints, Call], Awaitable[Answer | PassThrough]]

ENDPOINTS: Final[tuple[Endpoint[Handle], ...]] = (
    Endpoint(name="search", path="_search", handler=Endpoints.search),
    Endpoint(name="msearch", path="_msearch", handler=Endpoints.several, late=True),
    Endpoint(name="search_template", path="_search/template", handler=Endpoints.template),
    Endpoint(name="msearch_template", path="_msearch/template", handler=Endpoints.several_templates, late=True),
    Endpoint(name="async_search", path="_async_search", handler=Endpoints.submit, methods=_POST),
    Endpoint(name="async_search_get", path="_async_search/*", handler=Endpoints.get, methods=_GET, index="none"),
    Endpoint(name="pit", path="_pit", handler=Endpoints.open, methods=_POST, index="required"),
    Endpoint(name="scroll", path="_search/scroll/**", handler=Reason.SCROLL),
    Endpoint(name="knn_search", path="_knn_search/**", handler=Reason.KNN_SEARCH),
    Endpoint(name="mvt", path="_mvt/**", handler=Reason.VECTOR_TILE),
    Endpoint(name="rank_eval", path="_rank_eval/**", handler=Reason.RANK_EVAL),
    Endpoint(name="rollup_search", path="_rollup_search/**", handler=Reason.ROLLUP),
    Endpoint(name="eql_search", path="_eql/search/**", handler=Reason.EQL),
    Endpoint(name="fleet_search", path="_fleet/_fleet_search/**", handler=Reason.FLEET_SEARCH),
    Endpoint(name="fleet_msearch", path="_fleet/_fleet_msearch/**", handler=Reason.FLEET_SEARCH),
    Endpoint(
        name="search_application",
        path="_application/search_application/*/_search",
        handler=Reason.SEARCH_APPLICATION,
        index="none",
    ),
)
"""Every endpoint that answers hits, or looks as if it did; all other requests are streamed without a header."""


def route(method: str, target: str) -> Route[Handle] | None:
    """Return the search endpoint that a request line leads to, None where it leads to no search."""
    return routes.route(ENDPOINTS, method, target)
