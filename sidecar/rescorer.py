"""The rescorer: what the proxy asks about a search. Matches it, answers it, and tells the observer once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sidecar.config.match import Match
from sidecar.config.model import Config
from sidecar.errors import UpstreamError
from sidecar.events import RescoreObserver, RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.endpoints import Endpoints
from sidecar.rescoring.matching import match_expression
from sidecar.rescoring.resolver import IndexResolver
from sidecar.scoring.types import Scorer
from sidecar.search.plan import target_without_override, without_override
from sidecar.search.routes import MultiSearch, MultiTemplateSearch, Route, Skipped, endpoint, index_of
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch

_log = logging.getLogger("sidecar.rescorer")
_SEVERAL = (MultiSearch, MultiTemplateSearch)


@dataclass(frozen=True, slots=True)
class Target:
    """What a request line leads to, under the configuration that held when it came.

    ``match`` is None where only the body tells the indices.
    """

    match: Match | None
    config: Config


class Rescorer:
    """Long-lived; ``use`` swaps the configuration, running searches finish on theirs."""

    def __init__(
        self,
        config: Config,
        scorer: Scorer,
        observer: RescoreObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._observer = observer
        self._clock = clock
        self._resolver = IndexResolver(config.upstream.resolve_ttl, clock)
        self._endpoints = Endpoints(scorer, frozenset(config.engine.models), observer, clock)

    def use(self, config: Config) -> None:
        """Take a new configuration for searches from now on."""
        self.config = config

    async def match(self, route: Route, headers: Mapping[str, str], fetch: Fetch) -> Target | PassThrough:
        """Find the mapping of a search, before its body is read.

        Args:
            route: what the request line is.
            headers: the request's headers with lower-case names.
            fetch: asks Elasticsearch with the client's credentials.
        """
        config = self.config
        refused = self._refused(route, config)
        if refused is not None:
            return self._passed(refused, route)
        index = index_of(route)
        if index is None or isinstance(route, _SEVERAL):
            return Target(None, config)
        found = await match_expression(index, config, self._resolver, headers, fetch)
        return self._passed(found, route) if isinstance(found, PassThrough) else Target(found, config)

    def _refused(self, route: Route, config: Config) -> PassThrough | None:
        if isinstance(route, Skipped):
            return PassThrough(route.reason)
        if not config.indices:
            return PassThrough(Reason.NO_MAPPING)
        return self._endpoints.refused(route)

    def _passed(self, passed: PassThrough, route: Route) -> PassThrough:
        self._observer.search(RescoreRecord(outcome="passed", reason=passed.reason, endpoint=endpoint(route)))
        return passed

    async def answer(self, route: Route, target: Target, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Answer one search, or say why it goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        started = self._clock()
        try:
            found = await self._found(route, target, request, fetch)
        except UpstreamError as problem:
            if problem.reason != Reason.ANSWER_TOO_LARGE:
                raise
            found = PassThrough(problem.reason, body=without_override(request))
        except Exception:
            _log.exception("a search could not be rescored; the client gets Elasticsearch's own answer")
            found = PassThrough(Reason.INTERNAL_ERROR, body=without_override(request))
        return self._told(found, route, target, request, self._clock() - started)

    async def _found(self, route: Route, target: Target, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        async def match(expression: str | None) -> Match | PassThrough:
            return await match_expression(expression, target.config, self._resolver, request.headers, fetch)

        return await self._endpoints.answer(route, target.match, match, request, fetch, target.config)

    def _told(
        self, found: Answer | PassThrough, route: Route, target: Target, request: SearchRequest, seconds: float
    ) -> Answer | PassThrough:
        def whole(record: RescoreRecord) -> RescoreRecord:
            opaque_id = request.headers.get("x-opaque-id")
            return replace(record, total=seconds, opaque_id=opaque_id, endpoint=endpoint(route))

        if isinstance(found, PassThrough):
            self._observer.search(whole(_of_passed(found, target)))
            return replace(found, target=target_without_override(request))
        record = whole(found.record)
        for part in found.parts or [record]:
            self._observer.search(whole(part))
        if record.outcome == "failed" and not found.parts and target.config.on_failure == "error":
            return answer.error(503, answer.FAILURE, answer.failure_reason(record), record)
        return replace(found, record=record)

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._endpoints.close()


def _of_passed(passed: PassThrough, target: Target) -> RescoreRecord:
    return RescoreRecord(
        outcome="failed" if passed.reason == Reason.INTERNAL_ERROR else "passed",
        reason=passed.reason,
        mapping=None if target.match is None else target.match.pattern,
    )
