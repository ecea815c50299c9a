"""What `_msearch` asks Elasticsearch for: widened searches, and what it refuses of them once more as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.reasons import Reason
from sidecar.rescoring import answer
from sidecar.rescoring.lookup import with_texts
from sidecar.rescoring.pipeline import read_or_none
from sidecar.search import multi
from sidecar.search.multi import Envelope, SubSearch
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage
from sidecar.search.routes import parameters, with_parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

Planned = RescorePlan | PassThrough | BadRequest
Kind = TypeVar("Kind")
_AT_A_TIME = 8
_FILTER = frozenset({"filter_path"})
# Item errors that the search as it came would have, too.
_FINAL_STATUSES = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One search as it is sent: to which target, and its two lines."""

    target: str
    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The searches of one request and their plans, index by index; ``request`` is as the client sent it.

    ``rendered`` are the searches that are planned: the same as ``subs`` unless those are templates, which
    are rendered to them. ``search_target`` is the `_msearch` they can be sent to.
    """

    request: SearchRequest
    subs: Sequence[SubSearch]
    rendered: Sequence[SubSearch]
    plans: Sequence[Planned]
    search_target: str
    strict: bool

    @property
    def templates(self) -> bool:
        """Whether the client's searches are templates."""
        return self.rendered is not self.subs

    @property
    def at_a_time(self) -> int:
        """How many searches may run at once; Elasticsearch has refused what is not a number of them."""
        given = parameters(self.request.target).get("max_concurrent_searches", "")
        return min(int(given), _AT_A_TIME) if given.isdecimal() and int(given) > 0 else _AT_A_TIME

    def original(self, i: int) -> Line:
        """Give a search as it came, less our `ext.rescore`; a template that had it goes as it was rendered."""
        stripped = self._stripped(i)
        if stripped is None:
            return Line(target=self.request.target, header=self.subs[i].header, body=self.subs[i].body)
        return Line(target=self.search_target, header=self.subs[i].header, body=stripped)

    def widened(self, i: int) -> Line:
        """Give the widened form of a search that is to be rescored, and else the search as it came."""
        planned = self.plans[i]
        if not isinstance(planned, RescorePlan):
            return self.original(i)
        return Line(target=self.search_target, header=self.subs[i].header, body=planned.body)

    def _stripped(self, i: int) -> bytes | None:
        planned = self.plans[i]
        if isinstance(planned, BadRequest):
            return None
        return planned.body if isinstance(planned, PassThrough) else planned.original_body

    def edited(self) -> bytes | None:
        """Give the whole body less our `ext.rescore`; None where there is nothing to take out, or only templates."""
        if self.templates or all(self._stripped(i) is None for i in range(len(self.plans))):
            return None
        lines = [self.original(i) for i in range(len(self.plans))]
        return multi.join((line.header, line.body) for line in lines)

    @property
    def untouched(self) -> bool:
        """Whether the request may go on instead of being answered here."""
        passed = all(isinstance(planned, PassThrough) for planned in self.plans)
        return passed and not (self.templates and any(self._stripped(i) for i in range(len(self.plans))))


@dataclass(slots=True, kw_only=True)
class Fetched:
    """What Elasticsearch answered: the items and first stages by index, and an envelope to put items into."""

    envelope: Envelope = multi.EMPTY
    upstream: UpstreamAnswer | None = None
    items: dict[int, bytes] = field(default_factory=dict)
    firsts: dict[int, FirstStage] = field(default_factory=dict)


class UnusableError(ValueError):
    """The answer to the widened request is of no use; ``reason`` says why the request passes through."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


async def fetch_all(asked: Asked, fetch: Fetch) -> Fetched:
    """Ask for all searches, then once more for those whose widened form failed.

    Raises:
        UnusableError: the request as it came must be sent.
        UpstreamError: Elasticsearch did not answer.
    """
    fetched = Fetched(items={i: _error(planned) for i, planned in _of(asked, BadRequest)})
    widened = dict(_of(asked, RescorePlan))
    sent = [i for i, planned in enumerate(asked.plans) if not isinstance(planned, BadRequest)]
    await _ask({i: asked.widened(i) for i in sent}, asked.request.method, fetched, fetch)
    again = [i for i, plan in widened.items() if not _usable(i, plan, fetched)]
    await _ask({i: asked.original(i) for i in again}, asked.request.method, fetched, fetch)
    await _fill(fetched, widened, asked.at_a_time, fetch)
    return fetched


async def _fill(fetched: Fetched, plans: Mapping[int, RescorePlan], at_a_time: int, fetch: Fetch) -> None:
    """Fetch the texts that the first stages lack, no more searches at a time than the client asked for."""
    gate = asyncio.Semaphore(at_a_time)

    async def filled(i: int, first: FirstStage) -> FirstStage:
        async with gate:
            return await with_texts(first, plans[i], fetch)

    found = await asyncio.gather(*(filled(i, first) for i, first in fetched.firsts.items()))
    fetched.firsts = dict(zip(fetched.firsts, found, strict=True))


def _of(asked: Asked, kind: type[Kind]) -> list[tuple[int, Kind]]:
    return [(i, planned) for i, planned in enumerate(asked.plans) if isinstance(planned, kind)]


def _error(refused: BadRequest) -> bytes:
    return answer.elasticsearch_error(400, "illegal_argument_exception", refused.message)


def _usable(i: int, plan: RescorePlan, fetched: Fetched) -> bool:
    """Take the answer of a widened search apart; tell whether it, or its error, may stand."""
    status = multi.status(fetched.items[i])
    first = read_or_none(fetched.items[i], plan) if status == 200 else None
    if first is not None:
        fetched.firsts[i] = first
    return first is not None or status in _FINAL_STATUSES


async def _ask(lines: Mapping[int, Line], method: str, fetched: Fetched, fetch: Fetch) -> None:
    """Ask for searches, all of one target in one request."""
    for target in dict.fromkeys(line.target for line in lines.values()):
        group = {i: line for i, line in lines.items() if line.target == target}
        body = multi.join((line.header, line.body) for line in group.values())
        upstream = await fetch(method, with_parameters(target, _FILTER, {}), body, None)
        _take(upstream, list(group), fetched)


def _take(upstream: UpstreamAnswer, wanted: Sequence[int], fetched: Fetched) -> None:
    if upstream.status != 200:
        raise UnusableError(Reason.WIDENED_REFUSED)
    try:
        found = multi.envelope(upstream.body, len(wanted))
    except ValueError as problem:
        raise UnusableError(Reason.UNREADABLE_ANSWER) from problem
    fetched.items.update({i: found.item(at) for at, i in enumerate(wanted)})
    if fetched.upstream is None:
        fetched.upstream, fetched.envelope = upstream, found
