"""`_msearch`: each sub-search is planned on its own, all are fetched in one request and scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sidecar.config.match import Match
from sidecar.events import RescoreRecord
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.pipeline import Pipeline, read_or_none, unscored_body
from sidecar.rescoring.shadow import Shadow
from sidecar.rescoring.single import SingleSearch
from sidecar.search import multi
from sidecar.search.multi import Item, SubSearch
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

Planned = RescorePlan | PassThrough | BadRequest
MatchSub = Callable[[str | None], Awaitable[Match | PassThrough]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """The widened answer: one item a sub-search, and the plans of those that may be rescored."""

    upstream: UpstreamAnswer
    items: list[Item]
    plans: list[Planned]


class MultiSearch:
    """Answers `_msearch` requests."""

    def __init__(self, single: SingleSearch, pipeline: Pipeline, shadow: Shadow) -> None:
        self._single = single
        self._pipeline = pipeline
        self._shadow = shadow

    async def answer(self, request: SearchRequest, match: MatchSub, fetch: Fetch) -> Answer | PassThrough:
        """Give the answer with every rescorable item rescored, or the reason why none is.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        try:
            subs = multi.split(request.body)
        except ValueError:
            return PassThrough("body_format")
        plans = await self._plan(subs, request, match)
        if not any(_changes(planned) for planned in plans):
            return _common_reason(plans)
        return await self._run(subs, plans, request, fetch)

    async def _plan(
        self, subs: Sequence[SubSearch], request: SearchRequest, match: MatchSub
    ) -> list[Planned]:
        matches = await asyncio.gather(*(match(sub.index) for sub in subs))
        return [
            found if isinstance(found, PassThrough) else self._single.plan(found, multi.as_search(sub, request))
            for sub, found in zip(subs, matches, strict=True)
        ]

    async def _run(
        self, subs: Sequence[SubSearch], plans: list[Planned], request: SearchRequest, fetch: Fetch
    ) -> Answer | PassThrough:
        started = self._pipeline.now()
        ...
