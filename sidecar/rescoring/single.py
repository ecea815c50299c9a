"""One `_search`: plan it, fetch the widened window, finish it; or say why it stays as it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sidecar.config.match import Match
from sidecar.events import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.fetching import alone, completed, window
from sidecar.rescoring.modes import control
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.resolver import IndexResolver
from sidecar.rescoring.shadow import Shadow
from sidecar.search.first_stage import FirstStage
from sidecar.search.plan import RescorePlan, plan
from sidecar.search.text_fields import TextFields
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

# Answers that asking again for fewer hits would not change; all others are asked for once more, unwidened,
# since a 400 may only mean that the window is larger than `index.max_result_window`.
_FINAL_STATUSES = frozenset({401, 403, 404, 429, 502, 503, 504})
# A 429, but of this one search's memory: fewer hits may fit.
_CIRCUIT_BREAKING = b"circuit_breaking_exception"


class SingleSearch:
    """Answers searches whose mapping is known."""

    def __init__(
        self, pipeline: Pipeline, shadow: Shadow, models: Collection[str], resolver: IndexResolver | None = None
    ) -> None:
        """``models`` are the names of `engine.models`; ``resolver`` knows which fields hold text."""
        self._resolver = resolver
        self._pipeline = pipeline
        self._shadow = shadow
        self._models = models

    async def answer(self, match: Match, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Give the rescored answer, or the reason why the request goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        planned = await self.plan(match, request, fetch)
        if isinstance(planned, BadRequest):
            return bad_override(planned, match)
        if isinstance(planned, PassThrough):
            return planned
        return await self.run(planned, fetch)

    async def plan(self, match: Match, request: SearchRequest, fetch: Fetch) -> RescorePlan | PassThrough | BadRequest:
        """Plan one search under its mapping's mode and the model's health."""
        planned = await self._plan(match, request, fetch)
        if not isinstance(planned, RescorePlan):
            return planned
        refused = control(match.mapping, request.headers) or self._pipeline.refusal(planned)
        return planned if refused is None else replace(refused, body=planned.original_body)

    async def _plan(self, match: Match, request: SearchRequest, fetch: Fetch) -> RescorePlan | PassThrough | BadRequest:
        """Plan, and once more with the types of the fields where the text depends on them."""
        fields = TextFields(match.mapping)
        planned = plan(request, match.mapping, match.pattern, self._models, fields)
        if not fields.unsure or match.expression is None or self._resolver is None:
            return planned
        analysed = await self._resolver.text_fields(match.expression, request.headers, fetch)
        if analysed is None:
            return planned
        return plan(request, match.mapping, match.pattern, self._models, TextFields(match.mapping, analysed))

    async def run(self, planned: RescorePlan, fetch: Fetch) -> Answer | PassThrough:
        """Carry a plan out.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        send = alone(fetch)
        if planned.mapping.mode == "shadow":
            return self._shadow.compare(planned, send)
        started = self._pipeline.now()
        upstream = await send(planned.widened)
        if upstream.status != 200:
            return refused(upstream, planned)
        first = window(upstream.body, planned)
        if isinstance(first, FirstStage):
            first = await completed(first, planned, send)
        if not isinstance(first, FirstStage):
            return PassThrough(first, body=planned.original_body)
        applied = await self._pipeline.finish(first, planned, started)
        return answer.from_upstream(upstream, applied.record, applied.body)


def bad_override(planned: BadRequest, match: Match) -> Answer:
    """Give the 400 that names the wrong override."""
    record = RescoreRecord(outcome="passed", reason=Reason.BAD_OVERRIDE, mapping=match.pattern)
    return answer.error(400, "illegal_argument_exception", planned.message, record)


def refused(upstream: UpstreamAnswer, planned: RescorePlan) -> Answer | PassThrough:
    """Give Elasticsearch's error where the search as it came would have it, too; else have that one sent."""
    final = upstream.status in _FINAL_STATUSES and _CIRCUIT_BREAKING not in upstream.body
    if not final or planned.filter_path is not None:
        return PassThrough(Reason.WIDENED_REFUSED, body=planned.original_body)
    record = RescoreRecord(outcome="passed", reason=Reason.UPSTREAM_ERROR, mapping=planned.pattern)
    return answer.from_upstream(upstream, record)
