"""`_search/template` and `_msearch/template`: rendered by Elasticsearch, then treated as searches.

What is not rescored goes on as the template that it was, except where the template holds our `ext.rescore`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.config.match import Match
from sidecar.events import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.multi import MatchSub, MultiSearch
from sidecar.rescoring.multi_fetch import Asked, Planned
from sidecar.rescoring.single import SingleSearch
from sidecar.search import filter_path, multi, templates
from sidecar.search.multi import SubSearch
from sidecar.search.plan import may_override, without_override
from sidecar.search.routes import parameters
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.search.unsuitable import json_body
from sidecar.upstream_types import Fetch

_AT_A_TIME = 8


class Templates:
    """Answers template searches."""

    def __init__(self, single: SingleSearch, several: MultiSearch) -> None:
        self._single = single
        self._multi = several

    async def answer(self, match: Match, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Answer one template search, or say why it goes on as it came.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        if not templates.takes_parameters(request.target):
            return PassThrough(Reason.TEMPLATE_PARAMETERS)
        body = await _render(request.body, request, fetch)
        if body is None:
            return PassThrough(Reason.TEMPLATE_FAILED)
        search = templates.as_search(request, body)
        found = await self._single.answer(match, search, fetch)
        return found if isinstance(found, Answer) else await _sent(found, search, fetch, match.pattern)

    async def passed(self, found: PassThrough, request: SearchRequest, fetch: Fetch) -> Answer | PassThrough:
        """Answer a template search that no mapping applies to: rendered only where it may hold our `ext.rescore`.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        if not may_override(request.body) or not templates.takes_parameters(request.target):
            return found
        body = await _render(request.body, request, fetch)
        if body is None:
            return found
        search = templates.as_search(request, body)
        return await _sent(replace(found, body=without_override(search)), search, fetch)

    async def answer_several(
        self, request: SearchRequest, match: MatchSub, fetch: Fetch, *, strict: bool
    ) -> Answer | PassThrough:
        """Answer several template searches, or say why they go on as they came.

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
        gate = asyncio.Semaphore(_AT_A_TIME)
        planned = await asyncio.gather(*(self._plan(sub, request, match, fetch, gate) for sub in subs))
        asked = Asked(
            request=request,
            subs=subs,
            rendered=[search for search, _ in planned],
            plans=[plan for _, plan in planned],
            search_target=templates.search_target(request.target),
            strict=strict,
        )
        return await self._multi.run(asked, fetch)

    async def _plan(
        self, sub: SubSearch, request: SearchRequest, match: MatchSub, fetch: Fetch, gate: asyncio.Semaphore
    ) -> tuple[SubSearch, Planned]:
        """Give the search that a template of several stands for, and its plan."""
        found = await match(sub)
        if isinstance(found, PassThrough) and not may_override(sub.body):
            return sub, found
        async with gate:
            body = await _render(sub.body, request, fetch)
        if body is None:
            return sub, found if isinstance(found, PassThrough) else PassThrough(Reason.TEMPLATE_FAILED)
        search = replace(sub, body=body)
        whole = multi.as_search(search, request)
        if isinstance(found, PassThrough):
            return search, replace(found, body=without_override(whole))
        return search, await self._single.plan(found, whole, fetch)


async def _sent(
    found: PassThrough, search: SearchRequest, fetch: Fetch, pattern: str | None = None
) -> Answer | PassThrough:
    """Send the search that a template stands for where that had our `ext.rescore`; else the template goes on."""
    if found.body is None:
        return found
    upstream = await fetch(search.method, search.target, found.body, None)
    return answer.from_upstream(upstream, RescoreRecord(outcome="passed", reason=found.reason, mapping=pattern))


async def _render(template: bytes, request: SearchRequest, fetch: Fetch) -> bytes | None:
    """Give the search that a template stands for, None when Elasticsearch does not render it."""
    upstream = await fetch("POST", templates.RENDER, template, None)
    if upstream.status != 200 or not json_body(request.headers.get("content-type")):
        return None
    try:
        return templates.rendered(template, upstream.body)
    except ValueError:
        return None
