"""One `_search`: plan it, fetch the widened window, finish it; or say why it stays as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from sidecar.elasticsearch.body_edits import of_rank_evaluation
from sidecar.elasticsearch.request import may_override
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.fetching import alone, ask, completed, taken_apart
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.outcome import Outcome, answered, bad_override, passed, passed_record
from sidecar.rescoring.pipeline import Course
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.services import Services
from sidecar.rescoring.values import BadRequest

# Answers that asking again for fewer hits would not change; all others are asked for once more, unwidened,
# since a 400 may only mean that the window is larger than `index.max_result_window`.
_FINAL_STATUSES = frozenset({401, 403, 404, 429, 502, 503, 504})
# A 429, but of this one search's memory: fewer hits may fit.
_CIRCUIT_BREAKING = b"circuit_breaking_exception"


Matched = Callable[[Call, Match], Awaitable[Outcome]]


class Search:
    """Answers `_search`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, call: Call) -> Outcome:
        """Answer one search."""
        return await with_mapping(call, self._services, self.matched)

    async def matched(self, call: Call, match: Match) -> Outcome:
        """Answer one search whose mapping is known."""
        planned = await self._services.planner.plan(match, call.request, call)
        if isinstance(planned, Reason):
            return passed(planned, call)
        if isinstance(planned, BadRequest):
            return bad_override(planned, call)
        return await self._run(planned, call)

    async def _run(self, planned: RescorePlan, call: Call) -> Outcome:
        send = alone(call.fetch, planned.settings.timeout)
        if planned.mapping.mode == "shadow":
            return passed(self._services.shadow.compare(planned, send), call)
        pipeline = self._services.pipeline
        started = pipeline.now()
        upstream = await ask("widened", planned, send)
        if upstream.status != 200:
            return refused(upstream, planned, call)
        course = Course(started=started, answered=pipeline.now() - upstream.reading)
        deadline = pipeline.deadline(planned, course)
        first = await deadline.meet(taken_apart(upstream.body, planned))
        if isinstance(first, FirstStage):
            first = await completed(first, planned, send, deadline)
        if isinstance(first, Reason):
            return passed(pipeline.not_rescored(planned, first), call)
        applied = await pipeline.finish(first, planned, course)
        return answered(upstream, applied.record, applied.body)


class RankEvaluation:
    """Passes `_rank_eval` on, which judges Elasticsearch's own ranking; its searches may hold our `ext.rescore`."""

    def __init__(self, _: Services) -> None:
        pass

    async def __call__(self, call: Call) -> Outcome:
        """Pass one request on."""
        body = call.request.body
        try:
            edited = await aside(len(body), of_rank_evaluation, body) if may_override(body) else body
        except ValueError:
            edited = body
        return replace(passed(Reason.RANK_EVAL, call), body=None if edited == body else edited)


async def with_mapping(call: Call, services: Services, answer: Matched) -> Outcome:
    """Answer one search by ``answer`` once it is known which mapping applies; pass it on where none does."""
    match = await services.matcher.call(call)
    return passed(match, call) if isinstance(match, Reason) else await answer(replace(call, match=match), match)


def refused(upstream: UpstreamAnswer, planned: RescorePlan, call: Call) -> Outcome:
    """Return Elasticsearch's error where the search as it came would have it, too; else have that one sent."""
    final = upstream.status in _FINAL_STATUSES and _CIRCUIT_BREAKING not in upstream.body
    if not final or planned.filter_path is not None:
        return passed(Reason.WIDENED_REFUSED, call)
    return answered(upstream, passed_record(Reason.UPSTREAM_ERROR, call))
