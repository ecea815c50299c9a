"""What is asked of Elasticsearch for one planned search: its window, the texts that lacks, the rest of the page.

Each part of a list is asked for by a request of its own, so that whatever a page shows besides its window cannot
keep the window from being what it is for every other page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Literal

from sidecar.elasticsearch.client_search import UpstreamSearch
from sidecar.elasticsearch.upstream import EVER, Fetch, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring import lookup
from sidecar.rescoring.aside import aside
from sidecar.rescoring.deadline import Deadline
from sidecar.rescoring.first_stage import FirstStage, read, with_rest, with_rest_of_all
from sidecar.rescoring.plan import RescorePlan

Part = Literal["widened", "rest", "all_at_once"]
Send = Callable[[UpstreamSearch], Awaitable[UpstreamAnswer]]
"""``await send(search)`` asks for one search, on its own or as one of several.

Raises:
    UpstreamError: Elasticsearch did not answer.
"""


UNREAD: Final = (Reason.ANSWER_TOO_LARGE, Reason.DEADLINE, Reason.UNREADABLE_ANSWER)
"""Why Elasticsearch's answer was not read to its end; the client's own request is sent instead."""


def alone(fetch: Fetch, within: float = EVER) -> Send:
    """Return what sends a search as a request of its own, whose answer is read ``within`` some seconds."""

    async def send(search: UpstreamSearch) -> UpstreamAnswer:
        return await fetch(search.method, search.target, search.body, within=within)

    return send


async def ask(name: Part, plan: RescorePlan, send: Send) -> UpstreamAnswer:
    """Ask for a part of the list, as the plan calls it; its request is built of the client's, however large."""
    return await send(await aside(len(plan.search.text), getattr, plan, name))


def read_or_none(body: bytes, plan: RescorePlan) -> FirstStage | None:
    """Read a search answer; None when it is not one that can be taken apart exactly."""
    try:
        return read(body, plan)
    except ValueError:
        return None


def window(body: bytes, plan: RescorePlan) -> FirstStage | Reason:
    """Read the answer to the window's request, or say why it is of no use."""
    first = read_or_none(body, plan)
    if first is None:
        return Reason.UNREADABLE_ANSWER
    return Reason.WIDENED_PARTIAL if first.partial else first


async def taken_apart(body: bytes, plan: RescorePlan) -> FirstStage | Reason:
    """Read the answer to the window's request beside the event loop."""
    return await aside(len(body), window, body, plan)


async def completed(first: FirstStage, plan: RescorePlan, send: Send, deadline: Deadline) -> FirstStage | Reason:
    """Return the window with its texts and with the rest of the page, or the reason why there is none."""
    whole = await deadline.meet(_with_rest(first, plan, send))
    if isinstance(whole, Reason) or plan.recalled is not None:
        return whole
    return await with_texts(whole, plan, send, deadline)


async def with_texts(first: FirstStage, plan: RescorePlan, send: Send, deadline: Deadline) -> FirstStage:
    """Return the window with all its texts; those that are not available are counted, unless all are late."""
    whole = await deadline.meet(_with_texts(first, plan, send))
    return replace(first, late=True) if isinstance(whole, Reason) else whole


async def _with_texts(first: FirstStage, plan: RescorePlan, send: Send) -> FirstStage:
    searches = await aside(len(first.answer), lookup.requests, first, plan)
    if not searches:
        return first
    fields: lookup.Fields = {}
    for search in searches:
        fields |= await _looked_up(search, send)
    return await aside(len(first.answer), lookup.completed, first, plan, fields)


async def _looked_up(search: UpstreamSearch, send: Send) -> lookup.Fields:
    """Look texts up. Elasticsearch's own answer is here already: no failure may cost it."""
    try:
        upstream = await send(search)
        return await aside(len(upstream.body), lookup.found, upstream.body) if upstream.status == 200 else {}
    except (UpstreamError, ValueError):
        return {}


async def _with_rest(first: FirstStage, plan: RescorePlan, send: Send) -> FirstStage | Reason:
    """Return the window with the page's rest; where that does not come, the client's own request may fare better."""
    try:
        return await _rest(first, plan, send)
    except UpstreamError as problem:
        return problem.reason if problem.reason in UNREAD else Reason.WIDENED_REFUSED


async def _rest(first: FirstStage, plan: RescorePlan, send: Send) -> FirstStage | Reason:
    """Ask for the rest even where the list ends in its window: the page may be longer than an index allows.

    A page after the list's end is Elasticsearch's own: it holds nothing to permute.
    """
    ends = len(first.hits) < plan.window.fetched
    if ends and 0 < plan.window.from_ >= len(first.hits):
        return Reason.NO_HITS
    if plan.window.rest_size == 0:
        return first
    rest = await _part("rest", plan, send)
    if isinstance(rest, Reason):
        return rest
    if ends:
        return with_rest_of_all(first, rest, 0, 0)
    joined = with_rest(first, rest, plan.window.rest_size)
    return joined if joined is not None else await _once_each(first, rest, plan, send)


async def _once_each(first: FirstStage, rest: FirstStage, plan: RescorePlan, send: Send) -> FirstStage | Reason:
    """Return the window with a rest that does not follow it: each hit once, the page still full.

    Some of the rest's hits were in the window, or shards failed for it: then it starts after hits of a shorter list.
    """
    page = plan.window
    if page.exact:
        return with_rest_of_all(first, rest, 0, page.rest_size)
    everything = await _part("all_at_once", plan, send)
    if isinstance(everything, Reason):
        return everything
    return with_rest_of_all(first, everything, page.rest_from - page.fetched, page.rest_size)


async def _part(name: Part, plan: RescorePlan, send: Send) -> FirstStage | Reason:
    """Ask for another part of the list; an error is one that the client's own request would meet, too."""
    upstream = await ask(name, plan, send)
    if upstream.status != 200:
        return Reason.WIDENED_REFUSED
    return await aside(len(upstream.body), read_or_none, upstream.body, plan) or Reason.UNREADABLE_ANSWER
