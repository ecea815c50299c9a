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
from sidecar.rescoring.lookup import with_texts
from sidecar.rescoring.pipeline import Applied, Pipeline, read_or_none, unscored_body
from sidecar.rescoring.remembered import Remembered
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch, bad_override, refused
from sidecar.search import filter_path
from sidecar.search.json_splice import Edit, members, splice, whole
from sidecar.search.lenient_json import decode
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage
from sidecar.search.routes import parameters, with_parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.search.unsuitable import json_answer
from sidecar.upstream_types import Fetch, UpstreamAnswer


class _State(msgspec.Struct):
    is_running: bool
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An answer taken apart: the search answer in it is [start, end) of its bytes."""

    state: _State
    first: FirstStage
    start: int
    end: int


class AsyncSearches:
    """Remembers the plans of the searches that were submitted here."""

    def __init__(self, single: SingleSearch, pipeline: Pipeline, shadow: Shadow) -> None:
        self._single = single
        self._pipeline = pipeline
        self._shadow = shadow
        self._plans: Remembered[RescorePlan] = Remembered()

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
        upstream = await fetch(planned.method, planned.target, planned.body, None)
        if upstream.status != 200:
            return refused(upstream, planned)
        plan = replace(planned, filter_path=None)
        found = _read(upstream.body, plan)
        if found is None:
            return PassThrough(Reason.UNREADABLE_ANSWER, body=planned.original_body)
        if found.state.id is not None:
            self._plans.put(found.state.id, replace(plan, body=b"", original_body=None))
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
        if not found.state.is_running:
            found = replace(found, first=await with_texts(found.first, plan, fetch))
        applied = await self._applied(found, plan)
        body = splice(upstream.body, [Edit(found.start, found.end, applied.body)])
        return answer.from_upstream(
            upstream, applied.record, body if filters is None else filter_path.apply(body, filters)
        )

    async def _applied(self, found: _Read, plan: RescorePlan) -> Applied:
        if found.state.is_running:
            return _unscored(found.first, plan, Reason.ASYNC_RUNNING)
        if plan.mapping.mode == "shadow":
            self._shadow.compare(found.first, plan)
            return _unscored(found.first, plan, Reason.SHADOW)
        started = self._pipeline.now() - found.first.took
        return await self._pipeline.finish(found.first, plan, started)


def _unscored(first: FirstStage, plan: RescorePlan, reason: Reason) -> Applied:
    record = RescoreRecord(outcome="passed", reason=reason, mapping=plan.pattern)
    return Applied(body=unscored_body(first, plan), record=record)


def _read(body: bytes, plan: RescorePlan) -> _Read | None:
    """Take an answer apart; None when it holds no search answer."""
    try:
        state = decode(body, _State)
        response = members(body, whole(body))["response"]
    except (ValueError, KeyError):
        return None
    first = read_or_none(response.of(body), plan)
    return None if first is None else _Read(state=state, first=first, start=response.start, end=response.end)
