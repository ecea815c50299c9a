"""`_msearch`: each search is planned on its own, all are fetched in one request and scored in one batch.

An error that a client sees is always an error of its own search, never of the widened one. The same holds for
`_msearch/template`, whose rendered searches travel as `_msearch` while what is not rescored stays a template.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final

from sidecar.elasticsearch import filter_path, msearch_lines
from sidecar.elasticsearch.error_body import JSON_HEADERS, error_body
from sidecar.elasticsearch.media_types import json_body
from sidecar.elasticsearch.msearch_lines import Envelope, SubSearch
from sidecar.elasticsearch.request import SearchRequest, may_override
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.observing.records import RescoreRecord, summary
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside, at_last
from sidecar.rescoring.call import Call
from sidecar.rescoring.fetching import UNREAD
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.matching import Known
from sidecar.rescoring.msearch_fetch import Asked, Fetched, UnusableError, fetch_all
from sidecar.rescoring.outcome import (
    FAILURE,
    Answered,
    Outcome,
    Passed,
    answered,
    failure_message,
    passed,
    passed_record,
    refused_record,
    unscored_record,
)
from sidecar.rescoring.pipeline import Course
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.planning import Planned
from sidecar.rescoring.services import Services
from sidecar.rescoring.values import BadRequest

Work = dict[int, tuple[FirstStage, RescorePlan]]


MOST_SEARCHES: Final = 1000
"""Searches of one request that are planned: each costs a task and a plan, and a model scores fewer in any deadline."""


class MultiSearch:
    """Answers `_msearch`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, call: Call) -> Outcome:
        """Answer with every rescorable search rescored, or say why none is."""
        subs = await aside(len(call.request.body), split, call)
        if isinstance(subs, Reason):
            return passed(subs, call)
        requests = await aside(len(call.request.body), _requests, subs, call.request)
        if len(subs) > MOST_SEARCHES:
            plans: list[Planned] = [Reason.TOO_MANY_SEARCHES] * len(subs)
        else:
            plans = await asyncio.gather(*map(self._plan, subs, requests, repeat(call), repeat({})))
        target = call.request.target
        return await self.run(Asked(call=call, subs=subs, requests=requests, plans=plans, search_target=target))

    async def _plan(self, sub: SubSearch, request: SearchRequest, call: Call, known: Known) -> Planned:
        matcher = self._services.matcher
        match = await matcher.named(sub, call, known) or await matcher.unnamed(request, call, sub, known)
        if isinstance(match, Reason):
            return match
        return await self._services.planner.plan(match, request, call, len(call.request.body))

    async def run(self, asked: Asked) -> Outcome:
        """Carry the plans out."""
        asked = self._shadowed(asked)
        if asked.untouched:
            return _passed(_common_reason(asked.plans), asked)
        started = self._services.pipeline.now()
        try:
            fetched = await fetch_all(asked, self._services.pipeline.now)
        except UnusableError as problem:
            return _passed(problem.reason, asked)
        except UpstreamError as problem:
            if problem.reason not in UNREAD:
                raise
            return _passed(problem.reason, asked)
        return await self._finish(asked, fetched, started)

    async def _finish(self, asked: Asked, fetched: Fetched, started: float) -> Answered:
        plans = dict(enumerate(asked.plans))
        for i, reason in fetched.reasons.items():
            if isinstance(plan := plans[i], RescorePlan) and reason == Reason.WIDENED_PARTIAL:
                self._services.pipeline.not_rescored(plan, reason)
        records = {i: _unscored(planned, fetched.reasons.get(i)) for i, planned in plans.items()}
        work = {i: (first, plan) for i, first in fetched.firsts.items() if isinstance(plan := plans[i], RescorePlan)}
        course = Course(started=started, answered=fetched.answered)
        done = dict(zip(work, await self._services.pipeline.finish_all(list(work.values()), course), strict=True))
        items = fetched.items | {i: applied.body for i, applied in done.items()}
        records |= {i: applied.record for i, applied in done.items()}
        if asked.call.strict:
            _refuse(records, items)
        took = round((self._services.pipeline.now() - started) * 1000)
        filters = asked.call.request.params.get("filter_path")
        size = sum(map(len, items.values()))
        body = await at_last(size, _assembled, fetched.envelope, [items[i] for i in plans], took, filters)
        upstream = fetched.upstream or UpstreamAnswer(status=200, headers=JSON_HEADERS, body=b"")
        return answered(upstream, summary(list(records.values())), body)

    def _shadowed(self, asked: Asked) -> Asked:
        """Return the searches with those of `mode: shadow` left as they came; they are compared beside the answer."""
        plans = [
            self._services.shadow.compare(plan, asked.sender(i))
            if isinstance(plan, RescorePlan) and plan.mapping.mode == "shadow"
            else plan
            for i, plan in enumerate(asked.plans)
        ]
        return replace(asked, plans=plans)


def _requests(subs: Sequence[SubSearch], request: SearchRequest) -> list[SearchRequest]:
    return [msearch_lines.as_search(sub, request).prepare() for sub in subs]


def _assembled(envelope: Envelope, items: Sequence[bytes], took: int, filters: str | None) -> bytes:
    body = msearch_lines.assemble(envelope, items, took)
    return body if filters is None else filter_path.apply(body, filters)


def _refuse(records: dict[int, RescoreRecord], items: dict[int, bytes]) -> None:
    """Put errors in the place of searches whose scoring failed (`on_failure: error`)."""
    failed = {i: record for i, record in records.items() if record.outcome == "failed"}
    items |= {i: error_body(503, FAILURE, failure_message(record)) for i, record in failed.items()}
    records |= {i: refused_record(record) for i, record in failed.items()}


def _unscored(planned: Planned, reason: Reason | None) -> RescoreRecord:
    """Return the record of a search that Elasticsearch alone answers; an error is its own answer."""
    if isinstance(planned, Reason):
        return unscored_record(planned)
    if isinstance(planned, BadRequest):
        return unscored_record(Reason.BAD_OVERRIDE)
    return unscored_record(reason, planned.pattern)


def _common_reason(plans: Sequence[Planned]) -> Reason:
    reasons = {planned for planned in plans if isinstance(planned, Reason)}
    return reasons.pop() if len(reasons) == 1 else Reason.SEVERAL_REASONS


def _passed(reason: Reason, asked: Asked) -> Passed:
    return Passed(record=passed_record(reason, asked.call), body=asked.edited())


def split(call: Call, may_hold: Callable[[bytes], bool] = may_override) -> list[SubSearch] | Reason:
    """Take the body of several searches apart, or say why it stays whole; ``may_hold`` our `ext.rescore`."""
    request = call.request
    if not isinstance(call.match, Reason):
        return _split(request)
    found = _split(request) if may_hold(request.body) else []
    return found if found and not isinstance(found, Reason) else call.match


def _split(request: SearchRequest) -> list[SubSearch] | Reason:
    if not json_body(request.headers.get("content-type")):
        return Reason.BODY_FORMAT
    if filter_path.too_long(request.params.get("filter_path")):
        return Reason.FILTER_PATH
    try:
        return msearch_lines.split(request.body)
    except ValueError:
        return Reason.UNPARSABLE
