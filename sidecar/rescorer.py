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
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.matching import match_expression
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.resolver import IndexResolver
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch
from sidecar.scoring.types import Scorer
from sidecar.search.routes import Route, Search, Skipped
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch

_log = logging.getLogger("sidecar.rescorer")


@dataclass(frozen=True, slots=True)
class Target:
    """What a request line leads to, under the configuration that held when it came."""

    match: Match
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
        self._shadow = Shadow(scorer, observer, clock)
        self._single = SingleSearch(Pipeline(scorer, clock), self._shadow)

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
        if isinstance(route, Skipped):
            return self._passed(PassThrough(route.reason))
        if not isinstance(route, Search):
            return self._passed(PassThrough("endpoint"))
        found = await match_expression(route.index, config, self._resolver, headers, fetch)
        return self._passed(found) if isinstance(found, PassThrough) else Target(found, config)

    def _passed(self, passed: PassThrough) -> PassThrough:
        self._observer.search(RescoreRecord(outcome="passed", reason=passed.reason))
        return passed

    async def answer(self, route: Route, target: Target, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Answer one search, or say why it goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        started = self._clock()
        try:
            found = await self._single.answer(target.match, request, fetch)
        except UpstreamError:
            raise
        except Exception:
            _log.exception("a search could not be rescored; the client gets Elasticsearch's own answer")
            found = PassThrough("internal_error")
        return self._told(found, target, request, self._clock() - started)

    def _told(
        self, found: Answer | PassThrough, target: Target, request: SearchRequest, seconds: float
    ) -> Answer | PassThrough:
        opaque_id = request.headers.get("x-opaque-id")
        if isinstance(found, PassThrough):
            record = RescoreRecord(
                outcome="failed" if found.reason == "internal_error" else "passed",
                reason=found.reason,
                mapping=target.match.pattern,
                total=seconds,
                opaque_id=opaque_id,
            )
            self._observer.search(record)
            return found
        record = replace(found.record, total=seconds, opaque_id=opaque_id)
        self._observer.search(record)
        if record.outcome == "failed" and target.config.on_failure == "error":
            reason = f"rescoring failed [{record.reason}] and the sidecar's on_failure is [error]"
            return answer.error(503, "rescoring_exception", reason, record)
        return replace(found, record=record)

    async def close(self) -> None:
        """Stop background comparisons."""
        await self._shadow.close()
