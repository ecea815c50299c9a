"""`_search/template` and `_msearch/template`: rendered by Elasticsearch, then treated as searches.

What is not rescored goes on as the template that it was, except where the template holds our `ext.rescore`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.elasticsearch import msearch_lines, template_rendering
from sidecar.elasticsearch.media_types import json_body
from sidecar.elasticsearch.msearch_lines import SubSearch
from sidecar.elasticsearch.request import SearchRequest, may_override
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.matching import Known
from sidecar.rescoring.msearch import MOST_SEARCHES, MultiSearch, split
from sidecar.rescoring.msearch_fetch import Asked
from sidecar.rescoring.outcome import Outcome, Passed, answered, passed
from sidecar.rescoring.planning import Planned
from sidecar.rescoring.search import Search, with_mapping
from sidecar.rescoring.services import Services

_AT_A_TIME = 8


class SearchTemplate:
    """Answers `_search/template`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._search = Search(services)

    async def __call__(self, call: Call) -> Outcome:
        """Answer one template search."""
        return await with_mapping(call, self._services, self._matched, self._unmatched)

    async def _unmatched(self, reason: Reason, call: Call) -> Outcome:
        """Pass a template on; it is rendered only where it may hold our `ext.rescore`."""
        if not may_override(call.request.body) or not template_rendering.takes_parameters(call.request.target):
            return passed(reason, call)
        body = await _render(call.request.body, call)
        if body is None:
            return passed(reason, call)
        search = await aside(len(body), template_rendering.as_search(call.request, body).prepare)
        return await _sent(passed(reason, replace(call, request=search)), search, call)

    async def _matched(self, call: Call, match: Match) -> Outcome:
        if not template_rendering.takes_parameters(call.request.target):
            return passed(Reason.TEMPLATE_PARAMETERS, call)
        body = await _render(call.request.body, call)
        if body is None:
            return passed(Reason.TEMPLATE_FAILED, call)
        search = await aside(len(body), template_rendering.as_search(call.request, body).prepare)
        outcome = await self._search.matched(replace(call, request=search), match)
        return await _sent(outcome, search, call) if isinstance(outcome, Passed) else outcome


async def _sent(outcome: Passed, search: SearchRequest, call: Call) -> Outcome:
    """Send the search that a template stands for where that had our `ext.rescore`; else the template goes on."""
    if outcome.body is None:
        return replace(outcome, target=call.request.target_for_elasticsearch)
    return answered(await call.fetch(search.method, search.target, outcome.body), outcome.record)


class MultiSearchTemplate:
    """Answers `_msearch/template`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._several = MultiSearch(services)

    async def __call__(self, call: Call) -> Outcome:
        """Answer several template searches."""
        subs = await aside(len(call.request.body), split, call)
        if isinstance(subs, Reason):
            return passed(subs, call)
        if len(subs) > MOST_SEARCHES:
            return passed(Reason.TOO_MANY_SEARCHES, call)
        gate, known = asyncio.Semaphore(_AT_A_TIME), Known()
        planned = await asyncio.gather(*(self._plan(sub, call, gate, known) for sub in subs))
        asked = Asked(
            call=call,
            subs=subs,
            requests=[request for request, _ in planned],
            plans=[plan for _, plan in planned],
            search_target=template_rendering.search_target(call.request.target),
            templates=True,
        )
        return await self._several.run(asked)

    async def _plan(
        self, sub: SubSearch, call: Call, gate: asyncio.Semaphore, known: Known
    ) -> tuple[SearchRequest | None, Planned]:
        """Return the search that a template of several stands for, and its plan."""
        match = await self._services.matcher.sub_search(sub, call, known)
        if isinstance(match, Reason) and not may_override(sub.body):
            return None, match
        async with gate:
            body = await _render(sub.body, call)
        if body is None:
            return None, match if isinstance(match, Reason) else Reason.TEMPLATE_FAILED
        request = await aside(len(body), msearch_lines.as_search(replace(sub, body=body), call.request).prepare)
        if isinstance(match, Reason):
            return request, match
        return request, await self._services.planner.plan(match, request, call.fetch)


async def _render(template: bytes, call: Call) -> bytes | None:
    """Return the search that a template stands for, None when Elasticsearch does not render it."""
    upstream = await call.fetch("POST", template_rendering.RENDER, template)
    if upstream.status != 200 or not json_body(call.request.headers.get("content-type")):
        return None
    try:
        return await aside(len(template) + len(upstream.body), template_rendering.rendered, template, upstream.body)
    except ValueError:
        return None
