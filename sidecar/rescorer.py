"""The rescorer: what the proxy asks about a search. Matches it, and says what becomes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sidecar.config.match import Match
from sidecar.config.model import Config
from sidecar.errors import UpstreamError
from sidecar.events import RescoreObserver, RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.call import Call, Incoming
from sidecar.rescoring.endpoints import Endpoints, Handle
from sidecar.rescoring.matching import match_expression
from sidecar.rescoring.outcome import Outcome, Passed, Rejected
from sidecar.rescoring.resolver import IndexResolver
from sidecar.scoring.types import Scorer
from sidecar.search.plan import target_without_override, without_override
from sidecar.search.routes import Route
from sidecar.search.types import PassThrough, SearchRequest

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
        resolver = IndexResolver(config.upstream.resolve_ttl, clock)
        self._resolver = resolver
        self._endpoints = Endpoints(scorer, frozenset(config.engine.models), observer, resolver, clock)

    def use(self, config: Config) -> None:
        """Take a new configuration for searches from now on."""
        self.config = config

    async def search(self, route: Route[Handle], incoming: Incoming) -> Outcome:
        """Say what becomes of one search; where no mapping applies, its body may still hold our `ext.rescore`.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        config = self.config
        found = await self._match(route, incoming, config)
        passed, match = (found, None) if isinstance(found, PassThrough) else (None, found)
        body = await incoming.read()
        if isinstance(body, Reason):
            return _passed(passed or PassThrough(body), match)
        headers, target = incoming.headers, incoming.target
        request = SearchRequest(method=incoming.method, target=target, body=body, headers=headers)
        index, words, fetch = route.index, route.words, incoming.fetch
        call = Call(index=index, words=words, match=match, passed=passed, request=request, config=config, fetch=fetch)
        return await self._outcome(route, call)

    async def _match(self, route: Route[Handle], incoming: Incoming, config: Config) -> Match | PassThrough | None:
        """Find the mapping by the request line alone, None where it takes the body."""
        if isinstance(route.endpoint.handler, Reason):
            return PassThrough(route.endpoint.handler)
        if not config.indices:
            return PassThrough(Reason.NO_MAPPING)
        if route.index is None or route.endpoint.late:
            return self._endpoints.refusal(route)
        try:
            return await match_expression(route.index, config, self._resolver, incoming.headers, incoming.fetch)
        except Exception:
            _log.exception("an index expression could not be matched; the client gets Elasticsearch's own answer")
            return PassThrough(Reason.INTERNAL_ERROR)

    async def _outcome(self, route: Route[Handle], call: Call) -> Outcome:
        try:
            found = await self._endpoints.answer(route, call)
        except UpstreamError as problem:
            if problem.reason != Reason.ANSWER_TOO_LARGE:
                raise
            found = PassThrough(problem.reason, body=without_override(call.request))
        except Exception:
            _log.exception("a search could not be rescored; the client gets Elasticsearch's own answer")
            found = PassThrough(Reason.INTERNAL_ERROR, body=without_override(call.request))
        if isinstance(found, PassThrough):
            return _passed(found, call.match, target_without_override(call.request))
        return _strict(found) if call.config.on_failure == "error" else found

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._endpoints.close()


def _passed(found: PassThrough, match: Match | None = None, target: str | None = None) -> Passed:
    record = RescoreRecord(
        outcome="failed" if found.reason == Reason.INTERNAL_ERROR else "passed",
        reason=found.reason,
        mapping=found.mapping if match is None else match.pattern,
    )
    return Passed(record=record, body=found.body, target=target)


def _strict(found: Answer) -> Answer | Rejected:
    """Refuse a search whose scoring failed (`on_failure: error`); several searches have said so each for itself."""
    record = found.record
    if record.outcome != "failed" or record.parts:
        return found
    return Rejected(record=record, status=503, kind=answer.FAILURE, message=answer.failure_reason(record))
