"""`_msearch`: each search is planned on its own, all are fetched in one request and scored in one batch.

An error that a client sees is always an error of its own search, never of the widened one. The same holds for
`_msearch/template`, whose rendered searches travel as `_msearch` while what is not rescored stays a template.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sidecar.config.match import Match
from sidecar.errors import UpstreamError
from sidecar.events import RescoreRecord, summary
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.multi_fetch import Asked, Fetched, Planned, UnusableError, fetch_all
from sidecar.rescoring.pipeline import Applied, Pipeline
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch
from sidecar.search import filter_path, multi
from sidecar.search.first_stage import FirstStage
from sidecar.search.multi import SubSearch
from sidecar.search.plan import RescorePlan, without_override
from sidecar.search.routes import parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.search.unsuitable import json_body
from sidecar.upstream_types import Fetch, UpstreamAnswer

MatchSub = Callable[[SubSearch], Awaitable[Match | PassThrough]]
Work = dict[int, tuple[FirstStage, RescorePlan]]


class MultiSearch:
    """Answers `_msearch` requests."""

    def __init__(self, single: SingleSearch, pipeline: Pipeline, shadow: Shadow) -> None:
        self._single = single
        self._pipeline = pipeline
        self._shadow = shadow

    async def answer(
        self, request: SearchRequest, match: MatchSub, fetch: Fetch, *, strict: bool
    ) -> Answer | PassThrough:
        """Give the answer with every rescorable search rescored, or the reason why none is.

        ``strict`` makes an error item of a search whose rescoring failed (`on_failure: error`).

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        if not json_body(request.headers.get("content-type")):
            return PassThrough(Reason.BODY_FORMAT)
        if filter_path.too_long(parameters(request.target).get("filter_path")):
            return PassThrough(Reason.FILTER_PATH)
        try:
            subs = multi.split(request.body)
        except ValueError:
            return PassThrough(Reason.UNPARSABLE)
        plans = await self.plans(subs, request, match, fetch)
        target = request.target
        asked = Asked(request=request, subs=subs, rendered=subs, plans=plans, search_target=target, strict=strict)
        return await self.run(asked, fetch)

    async def plans(
        self, subs: Sequence[SubSearch], request: SearchRequest, match: MatchSub, fetch: Fetch
    ) -> list[Planned]:
        """Plan each search on its own."""
        matches = await asyncio.gather(*map(match, subs))
        return [
            await self._plan(found, multi.as_search(sub, request), fetch)
            for sub, found in zip(subs, matches, strict=True)
        ]

    async def _plan(self, found: Match | PassThrough, search: SearchRequest, fetch: Fetch) -> Planned:
        if isinstance(found, PassThrough):
            return replace(found, body=without_override(search))
        return await self._single.plan(found, search, fetch)

    async def run(self, asked: Asked, fetch: Fetch) -> Answer | PassThrough:
        """Carry the plans out.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        asked = self._shadowed(asked, fetch)
        if asked.untouched:
            return PassThrough(_common_reason(asked.plans), body=asked.edited())
        started = self._pipeline.now()
        try:
            fetched = await fetch_all(asked, fetch)
        except UnusableError as problem:
            return PassThrough(problem.reason, body=asked.edited())
        except UpstreamError as problem:
            if problem.reason != Reason.ANSWER_TOO_LARGE:
                raise
            return PassThrough(problem.reason, body=asked.edited())
        return await self._finish(asked, fetched, started)

    async def _finish(self, asked: Asked, fetched: Fetched, started: float) -> Answer:
        plans = dict(enumerate(asked.plans))
        records = {i: _unscored(planned, fetched.reasons.get(i)) for i, planned in plans.items()}
        work = {i: (first, plan) for i, first in fetched.firsts.items() if isinstance(plan := plans[i], RescorePlan)}
        done = dict(zip(work, await self._pipeline.finish_all(list(work.values()), started), strict=True))
        items = fetched.items | {i: _item(applied, strict=asked.strict) for i, applied in done.items()}
        records |= {i: applied.record for i, applied in done.items()}
        took = round((self._pipeline.now() - started) * 1000)
        body = multi.assemble(fetched.envelope, [items[i] for i in plans], took)
        filters = parameters(asked.request.target).get("filter_path")
        body = body if filters is None else filter_path.apply(body, filters)
        upstream = fetched.upstream or UpstreamAnswer(status=200, headers=answer.JSON_HEADERS, body=b"")
        return answer.from_upstream(upstream, summary(list(records.values())), body)

    def _shadowed(self, asked: Asked, fetch: Fetch) -> Asked:
        """Return the searches with those of `mode: shadow` left as they came; they are compared beside the answer."""
        plans = [
            self._shadow.compare(plan, asked.sender(i, fetch))
            if isinstance(plan, RescorePlan) and plan.mapping.mode == "shadow"
            else plan
            for i, plan in enumerate(asked.plans)
        ]
        return replace(asked, plans=plans)


def _item(applied: Applied, *, strict: bool) -> bytes:
    if strict and applied.record.outcome == "failed":
        return answer.elasticsearch_error(503, answer.FAILURE, answer.failure_reason(applied.record))
    return applied.body


def _unscored(planned: Planned, reason: Reason | None) -> RescoreRecord:
    """Return the record of a search that Elasticsearch alone answers; an error is its own answer."""
    if isinstance(planned, PassThrough):
        return RescoreRecord(outcome="passed", reason=planned.reason, mapping=planned.mapping)
    if isinstance(planned, BadRequest):
        return RescoreRecord(outcome="passed", reason=Reason.BAD_OVERRIDE)
    return RescoreRecord(outcome="passed", reason=reason, mapping=planned.pattern)


def _common_reason(plans: Sequence[Planned]) -> Reason:
    reasons = {planned.reason for planned in plans if isinstance(planned, PassThrough)}
    return reasons.pop() if len(reasons) == 1 else Reason.SEVERAL_REASONS
