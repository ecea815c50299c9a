"""`_async_search`: submitted widened, rescored once it is complete, whether on submission or when it is got.

Elasticsearch keeps the widened search under the id that it gives; what it was widened from is kept here, so
its answers must be got through the same sidecar. While it runs, clients see its partial hits as they are.
Source: Elasticsearch reference, "Async search".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from sidecar.config.match import Match
from sidecar.events import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.fetching import Send, alone, completed, read_or_none
from sidecar.rescoring.pipeline import Applied, Pipeline, unscored_body
from sidecar.rescoring.remembered import Remembered
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch, bad_override, refused
from sidecar.search import filter_path
from sidecar.search.first_stage import FirstStage
from sidecar.search.json_splice import Edit, Span, members, splice, whole
from sidecar.search.lenient_json import decode
from sidecar.search.plan import RescorePlan
from sidecar.search.routes import parameters, with_parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.search.unsuitable import json_answer
from sidecar.upstream_types import Fetch, UpstreamAnswer


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


class AsyncSearches:
    """Remembers the plans of the searches that were submitted here."""

    def __init__(self, single: SingleSearch, pipeline: Pipeline, shadow: Shadow) -> None:
        self._single = single
        self._pipeline = pipeline
        self._shadow = shadow
        self._plans: Remembered[RescorePlan] = Remembered(size=lambda plan: len(plan.search.text))

    def knows(self, name: str) -> bool:
        """Tell whether the search ``name`` was submitted here."""
        return self._plans.get(name) is not None

    async def submit(self, match: Match, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Submit a search, or say why it goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        planned = await self._single.plan(match, request, fetch)
        if isinstance(planned, BadRequest):
            return bad_override(planned, match)
        if isinstance(planned, PassThrough):
            return planned
        # What else is asked for it is asked of `_search`: nobody would get, or delete, an async search of ours.
        plan = replace(planned, filter_path=None, original_body=None, search=planned.search.synchronous())
        if planned.mapping.mode == "shadow":
            self._shadow.compare(plan, alone(fetch))
            return PassThrough(Reason.SHADOW, body=planned.original_body)
        upstream = await alone(fetch)(planned.widened)
        if upstream.status != 200:
            return refused(upstream, planned)
        found = _read(upstream.body, plan)
        if found is None:
            return PassThrough(Reason.UNREADABLE_ANSWER, body=planned.original_body)
        if found.state.id is not None:
            self._plans.put(found.state.id, plan)
        return await self._answer(upstream, found, plan, planned.filter_path, fetch)

    async def get(self, name: str, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Get a search that was submitted here.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        plan = self._plans.get(name)
        params = parameters(request.target)
        if plan is None:
            return PassThrough(Reason.ASYNC_UNKNOWN)
        if not json_answer(request.headers.get("accept"), params.get("format")):
            return PassThrough(Reason.ANSWER_FORMAT)
        if filter_path.too_long(params.get("filter_path")):
            return PassThrough(Reason.FILTER_PATH)
        target = with_parameters(request.target, frozenset({"filter_path"}), {})
        upstream = await fetch(request.method, target, request.body or None, None)
        found = _read(upstream.body, plan) if upstream.status == 200 else None
        if found is None:
            return PassThrough(Reason.UPSTREAM_ERROR)
        return await self._answer(upstream, found, plan, params.get("filter_path"), fetch)

    async def _answer(
        self, upstream: UpstreamAnswer, found: _Read, plan: RescorePlan, filters: str | None, fetch: Fetch
    ) -> Answer:
        applied = await self._applied(found, plan, alone(fetch))
        edits = [Edit(found.start, found.end, applied.body)]
        if found.first.partial and found.is_partial is not None:
            again = read_or_none(applied.body, plan)
            told = b"true" if found.state.is_running or (again is not None and again.partial) else b"false"
            edits.append(Edit(found.is_partial.start, found.is_partial.end, told))
        body = splice(upstream.body, edits)
        return answer.from_upstream(
            upstream, applied.record, body if filters is None else filter_path.apply(body, filters)
        )

    async def _applied(self, found: _Read, plan: RescorePlan, send: Send) -> Applied:
        if found.state.is_running:
            return _unscored(found.first, plan, Reason.ASYNC_RUNNING)
        started = self._pipeline.now() - found.first.took
        if found.first.partial:
            return await _as_it_came(found.first, plan, Reason.WIDENED_PARTIAL, send)
        first = await completed(found.first, plan, send)
        if isinstance(first, Reason):
            return await _as_it_came(found.first, plan, first, send)
        return await self._pipeline.finish(first, plan, started)


async def _as_it_came(first: FirstStage, plan: RescorePlan, reason: Reason, send: Send) -> Applied:
    """Ask for the search as the client sent it, which the widened one took the place of."""
    upstream = await send(plan.search.whole())
    if upstream.status != 200:
        return _unscored(first, plan, Reason.UPSTREAM_ERROR)
    record = RescoreRecord(outcome="passed", reason=reason, mapping=plan.pattern)
    return Applied(body=upstream.body, record=record)


def _unscored(first: FirstStage, plan: RescorePlan, reason: Reason) -> Applied:
    record = RescoreRecord(outcome="passed", reason=reason, mapping=plan.pattern)
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
