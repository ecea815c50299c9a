"""The rescorer: what the proxy asks about a search. Matches it, and hands it to the handler of its endpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sidecar.cache import ByteCache
from sidecar.config.model import Config
from sidecar.elasticsearch.request import SearchRequest, may_override
from sidecar.elasticsearch.routes import Endpoint, Route
from sidecar.elasticsearch.target import parameters
from sidecar.elasticsearch.upstream import LookUp, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.observing.records import RescoreObserver, RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call, Incoming
from sidecar.rescoring.deadline import Deadline
from sidecar.rescoring.endpoints import ENDPOINTS
from sidecar.rescoring.fetching import UNREAD
from sidecar.rescoring.lists import Lists
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.matching import Matcher
from sidecar.rescoring.msearch import MultiSearch
from sidecar.rescoring.outcome import FAILURE, Outcome, Passed, Rejected, failure_message, passed, refused_record
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.planning import Planner
from sidecar.rescoring.search import RankEvaluation, Search
from sidecar.rescoring.server import Server
from sidecar.rescoring.services import Handler, Services
from sidecar.rescoring.shadow import Shadow
from sidecar.scoring.scorer import Scorer

_MAX_SUBMITTED = 64 << 20
_NOTHING_MAPPED = 2.0
"""Seconds for a template to be rendered that may hold our `ext.rescore`, where no mapping has a `timeout`."""
_log = logging.getLogger("sidecar.rescorer")


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
        self._clock = clock
        self._matcher = Matcher(config.upstream.resolve_ttl, clock)
        self._shadow = Shadow(scorer, observer, clock)
        self.lists = Lists(config, clock)
        pipeline = Pipeline(scorer, self.lists, clock)
        self.breakers = pipeline.breakers
        server = Server(config.upstream.dialect)
        services = Services(
            matcher=self._matcher,
            planner=Planner(self._matcher, server, pipeline, self.lists, config.engine.fusions()),
            server=server,
            pipeline=pipeline,
            shadow=self._shadow,
            submitted=ByteCache(_MAX_SUBMITTED),
        )
        self.shared: dict[str, ByteCache[Any]] = {"submitted": services.submitted, "lists": self.lists.known}
        """What other processes that serve the same clients must know, too."""
        self._handlers = {row.name: _handler(row)(services) for row in ENDPOINTS}

    def use(self, config: Config) -> None:
        """Take a new configuration for searches from now on."""
        self.config = config
        self.lists.use(config)

    async def search(self, route: Route[Handler], incoming: Incoming) -> Outcome:
        """Say what becomes of one search; where no mapping applies, its body may still hold our `ext.rescore`.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        config = self.config
        try:
            expand = parameters(incoming.target).get("expand_wildcards")
        except ValueError:  # Elasticsearch refuses the request, whatever it holds
            return Passed(record=RescoreRecord(outcome="passed", reason=Reason.BAD_PARAMETERS))
        match = await self._match(route, expand, incoming, config)
        body = await incoming.read()
        request = SearchRequest(
            method=incoming.method,
            target=incoming.target,
            body=b"" if isinstance(body, Reason) else body,
            headers=incoming.headers,
            client=incoming.client,
        )
        call = Call(
            index=route.index,
            words=route.words,
            match=match,
            request=request,
            config=config,
            fetch=incoming.fetch,
            look_up=self._look_up(incoming, config),
        )
        if isinstance(body, Reason):
            return passed(match if isinstance(match, Reason) else body, call)
        if not route.endpoint.several and (not isinstance(match, Reason) or may_override(request.body)):
            await aside(max(len(request.body), len(request.target)), request.prepare)
        return await self._handled(route, call)

    async def _match(
        self, route: Route[Handler], expand: str | None, incoming: Incoming, config: Config
    ) -> Match | Reason | None:
        """Find the mapping by the request line alone, None where it takes the body."""
        if isinstance(route.endpoint.handler, Reason):
            return route.endpoint.handler
        if not config.indices:
            return Reason.NO_MAPPING
        if route.index is None or route.endpoint.several:
            return None
        try:
            look_up = self._look_up(incoming, config)
            return await self._matcher.expression(route.index, expand, config, incoming.headers, look_up)
        except Exception:
            _log.exception("an index expression could not be matched; the client gets Elasticsearch's own answer")
            return Reason.INTERNAL_ERROR

    async def _handled(self, route: Route[Handler], call: Call) -> Outcome:
        try:
            outcome = await self._handlers[route.endpoint.name](call)
        except UpstreamError as problem:
            if problem.reason not in UNREAD:
                raise
            return _strict(passed(problem.reason, call), call)
        except Exception:
            _log.exception("a search could not be rescored; the client gets Elasticsearch's own answer")
            return _strict(passed(Reason.INTERNAL_ERROR, call), call)
        return _strict(outcome, call)

    def _look_up(self, incoming: Incoming, config: Config) -> LookUp:
        """Return what asks Elasticsearch for what a plan needs, as long as a search may take that is rescored."""
        longest = max((mapping.timeout for mapping in config.indices.values()), default=_NOTHING_MAPPED)
        deadline = Deadline(self._clock() + longest, self._clock)

        async def look_up(method: str, target: str, body: bytes | None) -> UpstreamAnswer:
            answer = await deadline.meet(incoming.fetch(method, target, body))
            if isinstance(answer, Reason):
                raise UpstreamError("Elasticsearch did not say in time what a search needs", reason=answer)
            return answer

        return look_up

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._shadow.close()


def _handler(row: Endpoint[Handler]) -> Handler:
    """Return what answers an endpoint; one that is never rescored still goes on less our `ext.rescore`."""
    if not isinstance(row.handler, Reason):
        return row.handler
    if row.handler == Reason.RANK_EVAL:
        return RankEvaluation
    return MultiSearch if row.several else Search


def _strict(outcome: Outcome, call: Call) -> Outcome:
    """Refuse a search whose scoring failed (`on_failure: error`); several searches have said so each for itself."""
    record = outcome.record
    if not call.strict or isinstance(outcome, Rejected) or record.outcome != "failed" or record.parts:
        return outcome
    return Rejected(record=refused_record(record), status=503, kind=FAILURE, message=failure_message(record))
