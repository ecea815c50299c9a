"""`_search/template` and `_msearch/template`: rendered by Elasticsearch, then treated as searches.

What is not rescored goes on as the template that it was, except where the template holds our `ext.rescore`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.elasticsearch import msearch_lines, template_rendering
from sidecar.elasticsearch.media_types import json_body
from sidecar.elasticsearch.msearch_lines import SubSearch
from sidecar.elasticsearch.request import SearchRequest
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.matching import Known
from sidecar.rescoring.msearch import MOST_SEARCHES, MultiSearch, split
from sidecar.rescoring.msearch_fetch import Asked
from sidecar.rescoring.outcome import Answered, Outcome, Passed, answered, passed
from sidecar.rescoring.planning import Planned
from sidecar.rescoring.search import Search
from sidecar.rescoring.services import Services

_AT_A_TIME = 8


class SearchTemplate:
    """Answers `_search/template`."""

    def __init__(self, services: Services) -> None:
        self._search = Search(services)
        self._server = services.server

    async def __call__(self, call: Call) -> Outcome:
        """Answer one template search."""
        unmatched = call.match if isinstance(call.match, Reason) else None
        if unmatched and not template_rendering.may_hold_override(call.request.body):
            return passed(unmatched, call)
        search = await _as_search(call)
        if isinstance(search, Reason):
            return passed(unmatched or search, call)
        outcome = await self._search(replace(call, request=search))
        if isinstance(outcome, Passed):
            return await _sent(outcome, search, call)
        dialect = await self._server.dialect(call.look_up)
        return await _of_template(outcome, call) if dialect.template_status else outcome


async def _of_template(outcome: Outcome, call: Call) -> Outcome:
    """Return the answer to a search as OpenSearch answers a template."""
    if not isinstance(outcome, Answered) or outcome.status != 200:
        return outcome
    filters = call.request.params.get("filter_path")
    body = await aside(len(outcome.body), template_rendering.with_status, outcome.body, filters)
    return replace(outcome, body=body)


async def _as_search(call: Call) -> SearchRequest | Reason:
    """Return the search that a template stands for: only it tells whether it is in a point in time."""
    if not template_rendering.takes_parameters(call.request.target):
        return Reason.TEMPLATE_PARAMETERS
    body = await _render(call.request.body, call)
    if body is None:
        return Reason.TEMPLATE_FAILED
    return await aside(len(body), template_rendering.as_search(call.request, body).prepare)


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
        subs = await aside(len(call.request.body), split, call, template_rendering.may_hold_override)
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
        matcher = self._services.matcher
        match = await matcher.named(sub, call, known)
        if isinstance(match, Reason) and not template_rendering.may_hold_override(sub.body):
            return None, match
        async with gate:
            body = await _render(sub.body, call)
        if body is None:
            return None, match if isinstance(match, Reason) else Reason.TEMPLATE_FAILED
        request = await aside(len(body), msearch_lines.as_search(replace(sub, body=body), call.request).prepare)
        match = match or await matcher.unnamed(request, call, sub, known)
        if isinstance(match, Reason):
            return request, match
        return request, await self._services.planner.plan(match, request, call)


async def _render(template: bytes, call: Call) -> bytes | None:
    """Return the search that a template stands for, None when Elasticsearch does not render it."""
    try:
        upstream = await call.look_up("POST", template_rendering.RENDER, template)
    except UpstreamError:  # the template itself will tell the client what is wrong
        return None
    if upstream.status != 200 or not json_body(call.request.headers.get("content-type")):
        return None
    try:
        return await aside(len(template) + len(upstream.body), template_rendering.rendered, template, upstream.body)
    except ValueError:
        return None
