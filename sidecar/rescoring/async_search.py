"""`_async_search`: submitted widened, rescored once it is complete, whether on submission or when it is got.

Elasticsearch keeps the widened search under the id that it gives; what it was widened from is kept here, so
its answers must be got through the same sidecar. While it runs, clients see its partial hits as they are.
Source: Elasticsearch reference, "Async search".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from sidecar.elasticsearch import filter_path
from sidecar.elasticsearch.json_bytes import Edit, Span, members, splice, whole
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.media_types import json_answer
from sidecar.elasticsearch.target import with_parameters
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside, at_last
from sidecar.rescoring.call import Call
from sidecar.rescoring.deadline import Deadline
from sidecar.rescoring.fetching import Send, alone, ask, completed, read_or_none
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.outcome import Answered, Outcome, answered, bad_override, passed, unscored_record
from sidecar.rescoring.pipeline import Applied, Course, Pipeline, unscored_body
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.search import refused, with_mapping
from sidecar.rescoring.services import Services
from sidecar.rescoring.values import BadRequest


class _State(msgspec.Struct):
    is_running: bool
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An answer taken apart: the search answer in it is [start, end) of its bytes, and where it says `is_partial`."""

    state: _State
    first: FirstStage
    start: int
    end: int
    is_partial: Span | None


class SubmitAsyncSearch:
    """Answers `_async_search`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, call: Call) -> Outcome:
        """Submit a search."""
        return await with_mapping(call, self._services, self._matched)

    async def _matched(self, call: Call, match: Match) -> Outcome:
        planned = await self._services.planner.plan(match, call.request, call)
        if isinstance(planned, Reason):
            return passed(planned, call)
        if isinstance(planned, BadRequest):
            return bad_override(planned, call)
        # What else is asked for it is asked of `_search`: nobody would get, or delete, an async search of ours.
        plan = replace(planned, filter_path=None, search=planned.search.synchronous())
        if planned.mapping.mode == "shadow":
            return passed(self._services.shadow.compare(plan, alone(call.fetch)), call)
        upstream = await ask("widened", planned, alone(call.fetch, plan.settings.timeout))
        if upstream.status != 200:
            return refused(upstream, planned, call)
        course = _course(upstream, self._services.pipeline)
        found = await _taken_apart(upstream, plan, self._services.pipeline.deadline(plan, course))
        if isinstance(found, Reason):
            return passed(found, call)
        if found.state.id is not None:
            self._services.submitted.put(found.state.id, plan, len(plan.search.text))
        return await _answered(upstream, found, plan, call, self._services.pipeline, course)


class GetAsyncSearch:
    """Answers `_async_search/<id>`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, call: Call) -> Outcome:
        """Get a search that was submitted here."""
        if isinstance(call.match, Reason):
            return passed(call.match, call)
        plan = self._services.submitted.get(call.words[-1])
        request = call.request
        if plan is None:
            return passed(Reason.ASYNC_UNKNOWN, call)
        if not json_answer(request.headers.get("accept"), request.params.get("format")):
            return passed(Reason.ANSWER_FORMAT, call)
        if filter_path.too_long(request.params.get("filter_path")):
            return passed(Reason.FILTER_PATH, call)
        target = with_parameters(request.target, frozenset({"filter_path"}), {})
        upstream = await call.fetch(request.method, target, request.body or None, within=plan.settings.timeout)
        if upstream.status != 200:
            return passed(Reason.UPSTREAM_ERROR, call)
        course = _course(upstream, self._services.pipeline)
        found = await _taken_apart(upstream, plan, self._services.pipeline.deadline(plan, course))
        if isinstance(found, Reason):
            return passed(found, call)
        return await _answered(upstream, found, plan, call, self._services.pipeline, course)


def _course(upstream: UpstreamAnswer, pipeline: Pipeline) -> Course:
    """Return the course of a search that was begun before this request for it."""
    answered = pipeline.now() - upstream.reading
    return Course(started=answered, answered=answered)


async def _taken_apart(upstream: UpstreamAnswer, plan: RescorePlan, deadline: Deadline) -> _Read | Reason:
    return await deadline.meet(aside(len(upstream.body), _read, upstream.body, plan)) or Reason.UNREADABLE_ANSWER


async def _answered(
    upstream: UpstreamAnswer, found: _Read, plan: RescorePlan, call: Call, pipeline: Pipeline, course: Course
) -> Answered:
    applied = await _applied(found, plan, alone(call.fetch, plan.settings.timeout), pipeline, course)
    filters = call.request.params.get("filter_path")
    body = await at_last(len(upstream.body), _body, upstream.body, found, applied.body, plan, filters)
    return answered(upstream, applied.record, body)


def _body(whole_answer: bytes, found: _Read, response: bytes, plan: RescorePlan, filters: str | None) -> bytes:
    """Return the answer with another response in it."""
    edits = [Edit(found.start, found.end, response)]
    if found.first.partial and found.is_partial is not None:
        again = read_or_none(response, plan)
        told = b"true" if found.state.is_running or (again is not None and again.partial) else b"false"
        edits.append(Edit(found.is_partial.start, found.is_partial.end, told))
    body = splice(whole_answer, edits)
    return body if filters is None else filter_path.apply(body, filters)


async def _applied(found: _Read, plan: RescorePlan, send: Send, pipeline: Pipeline, course: Course) -> Applied:
    if found.state.is_running:
        return await at_last(len(found.first.answer), _unscored, found.first, plan, Reason.ASYNC_RUNNING)
    course = replace(course, started=course.started - found.first.took)
    deadline = pipeline.deadline(plan, course)
    if found.first.partial:
        return await _as_it_came(found.first, plan, pipeline.not_rescored(plan, Reason.WIDENED_PARTIAL), send)
    first = await completed(found.first, plan, send, deadline)
    if isinstance(first, Reason):
        return await _as_it_came(found.first, plan, pipeline.not_rescored(plan, first), send)
    return await pipeline.finish(first, plan, course)


async def _as_it_came(first: FirstStage, plan: RescorePlan, reason: Reason, send: Send) -> Applied:
    """Ask for the search as the client sent it, which the widened one took the place of."""
    try:
        upstream = await send(plan.search.whole())
    except UpstreamError:  # hits of the widened search are better than none
        upstream = None
    if upstream is None or upstream.status != 200:
        return await at_last(len(first.answer), _unscored, first, plan, Reason.UPSTREAM_ERROR)
    record = unscored_record(reason, plan.pattern)
    return Applied(body=upstream.body, record=record)


def _unscored(first: FirstStage, plan: RescorePlan, reason: Reason) -> Applied:
    record = unscored_record(reason, plan.pattern)
    return Applied(body=unscored_body(first, plan), record=record)


def _read(body: bytes, plan: RescorePlan) -> _Read | None:
    """Take an answer apart; None when it holds no search answer."""
    try:
        state = decode(body, _State)
        top = members(body, whole(body))
        response = top["response"]
    except (ValueError, KeyError):
        return None
    first = read_or_none(response.of(body), plan)
    if first is None:
        return None
    return _Read(state=state, first=first, start=response.start, end=response.end, is_partial=top.get("is_partial"))
