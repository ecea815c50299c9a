"""Which part answers which endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from sidecar.config.match import Match
from sidecar.config.model import Config
from sidecar.events import RescoreObserver, RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.async_search import AsyncSearches
from sidecar.rescoring.multi import MultiSearch
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.point_in_time import PointsInTime, pit_id
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch
from sidecar.rescoring.templates import Templates
from sidecar.scoring.types import Scorer
from sidecar.search import routes
from sidecar.search.multi import SubSearch
from sidecar.search.plan import without_override
from sidecar.search.routes import Route
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch

MatchName = Callable[[str | None], Awaitable[Match | PassThrough]]


class Endpoints:
    """Long-lived: holds what each endpoint remembers."""

    def __init__(
        self, scorer: Scorer, models: Collection[str], observer: RescoreObserver, clock: Callable[[], float]
    ) -> None:
        self._pipeline = Pipeline(scorer, clock)
        self._shadow = Shadow(scorer, observer, clock)
        self._single = SingleSearch(self._pipeline, self._shadow, models)
        self._multi = MultiSearch(self._single, self._pipeline, self._shadow)
        self._templates = Templates(self._single, self._multi)
        self._async = AsyncSearches(self._single, self._pipeline, self._shadow)
        self._points = PointsInTime()

    def refused(self, route: Route) -> PassThrough | None:
        """Give the reason not even to read a request's body, or None."""
        if isinstance(route, routes.AsyncGet) and not self._async.knows(route.id):
            return PassThrough(Reason.ASYNC_UNKNOWN)
        return None

    async def answer(
        self,
        route: Route,
        found: Match | None,
        match: MatchName,
        request: SearchRequest,
        fetch: Fetch,
        config: Config,
    ) -> Answer | PassThrough:
        """Answer a request, or say why it goes on as it came.

        Args:
            route: what the request line is.
            found: the mapping, None where only the body tells the indices.
            match: gives the mapping of an index expression; None means all indices.
            request: the request.
            fetch: asks Elasticsearch with the client's credentials.
            config: the configuration that holds for this request.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        strict = config.on_failure == "error"
        if isinstance(route, routes.MultiSearch):
            return await self._multi.answer(request, self._subs(route.index, match), fetch, strict=strict)
        if isinstance(route, routes.MultiTemplateSearch):
            subs = self._subs(route.index, match)
            return await self._templates.answer_several(request, subs, fetch, strict=strict)
        if isinstance(route, routes.AsyncGet):
            return await self._async.get(route.id, request, fetch)
        if isinstance(route, routes.PointInTimeOpen) and found is not None:
            return await self._open(route, found, request, fetch)
        return await self._one(route, found, match, request, fetch)

    async def _one(
        self, route: Route, found: Match | None, match: MatchName, request: SearchRequest, fetch: Fetch
    ) -> Answer | PassThrough:
        """Answer one search; one whose path names no index is on a point in time, or on all indices."""
        name = pit_id(request.body) if found is None else None
        if found is None:
            expression = None if name is None else await self._points.find(name, request, fetch)
            matched = expression if isinstance(expression, PassThrough) else await match(expression)
            if isinstance(matched, PassThrough):
                return replace(matched, body=without_override(request))
            found = matched
        answered = await self._of_kind(route, found, request, fetch)
        if name is not None and isinstance(answered, Answer):
            self._points.follow(answered.body, name)
        return answered

    async def _of_kind(self, route: Route, found: Match, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        if isinstance(route, routes.TemplateSearch):
            return await self._templates.answer(found, request, fetch)
        if isinstance(route, routes.AsyncSearch):
            return await self._async.submit(found, request, fetch)
        return await self._single.answer(found, request, fetch)

    async def _open(self, route: routes.PointInTimeOpen, found: Match, request: SearchRequest, fetch: Fetch) -> Answer:
        upstream = await fetch(request.method, request.target, request.body or None, None)
        self._points.learn_opened(upstream, route.index)
        record = RescoreRecord(outcome="passed", reason=Reason.PIT_OPEN, mapping=found.pattern)
        return answer.from_upstream(upstream, record)

    def _subs(self, default: str | None, match: MatchName) -> Callable[[SubSearch], Awaitable[Match | PassThrough]]:
        async def find(sub: SubSearch) -> Match | PassThrough:
            name = pit_id(sub.body)
            expression = sub.index or default if name is None else self._points.known(name)
            return expression if isinstance(expression, PassThrough) else await match(expression)

        return find

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._shadow.close()
