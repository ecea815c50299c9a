"""What `_msearch` asks Elasticsearch for: widened searches, and what it refuses of them once more as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sidecar.elasticsearch import msearch_lines
from sidecar.elasticsearch.client_search import UpstreamSearch
from sidecar.elasticsearch.error_body import error_body
from sidecar.elasticsearch.msearch_lines import Envelope, SubSearch
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.target import with_parameters
from sidecar.elasticsearch.upstream import EVER, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.deadline import Clock, Deadline
from sidecar.rescoring.fetching import Send, completed, window
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.outcome import BAD_OVERRIDE
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.planning import Planned
from sidecar.rescoring.values import BadRequest

Kind = TypeVar("Kind")
_AT_A_TIME = 8
_FILTER = frozenset({"filter_path"})
_NOTHING = b'{"source":{"size":0,"track_total_hits":false,"terminate_after":1}}'
_NOBODY = -1
# Item errors that the search as it came would have, too.
_FINAL_STATUSES = frozenset({401, 403, 404})


Answers = list[tuple[UpstreamAnswer, list[int]]]
"""Answers to several searches each, and the indices of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One search as it is sent: to which target, and its two lines."""

    target: str
    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The searches of one request and their plans, index by index.

    ``requests`` are the searches that are planned: ``subs`` as requests of their own, and of ``templates`` what they
    are rendered to, None where that failed. ``search_target`` is the `_msearch` they can be sent to.
    """

    call: Call
    subs: Sequence[SubSearch]
    requests: Sequence[SearchRequest | None]
    plans: Sequence[Planned]
    search_target: str
    templates: bool = False

    @property
    def at_a_time(self) -> int:
        """How many searches may run at once; Elasticsearch has refused what is not a number of them."""
        given = self.call.request.params.get("max_concurrent_searches", "")
        return min(int(given), _AT_A_TIME) if given.isdecimal() and int(given) > 0 else _AT_A_TIME

    def original(self, i: int) -> Line:
        """Return a search as it came, less our `ext.rescore`; a template that had it goes as it was rendered."""
        stripped = self._stripped(i)
        if stripped is None:
            return Line(target=self.call.request.target, header=self.subs[i].header, body=self.subs[i].body)
        return Line(target=self.search_target, header=self.subs[i].header, body=stripped)

    def widened(self, i: int) -> Line:
        """Return the widened form of a search that is to be rescored, and else the search as it came."""
        planned = self.plans[i]
        if not isinstance(planned, RescorePlan):
            return self.original(i)
        return Line(target=self.search_target, header=self.subs[i].header, body=planned.widened.body)

    def sender(self, i: int) -> Send:
        """Return what sends further searches for one of these: in an `_msearch` with its header."""

        async def send(search: UpstreamSearch) -> UpstreamAnswer:
            line = Line(target=self.search_target, header=self.subs[i].header, body=search.body)
            upstream = await self.call.fetch(self.call.request.method, *_request([line]))
            item = (await _items(upstream, 1)).item(0)
            status = await aside(len(item), msearch_lines.status, item)
            return UpstreamAnswer(status=status, headers=upstream.headers, body=item)

        return send

    def _stripped(self, i: int) -> bytes | None:
        request = self.requests[i]
        return None if request is None or isinstance(self.plans[i], BadRequest) else request.body_for_elasticsearch

    def edited(self) -> bytes | None:
        """Return the whole body less our `ext.rescore`; None where there is nothing to take out, or only templates."""
        if self.templates or all(self._stripped(i) is None for i in range(len(self.plans))):
            return None
        lines = [self.original(i) for i in range(len(self.plans))]
        return msearch_lines.join((line.header, line.body) for line in lines)

    @property
    def untouched(self) -> bool:
        """Whether the request may go on instead of being answered here."""
        passed = all(isinstance(planned, Reason) for planned in self.plans)
        return passed and not (self.templates and any(self._stripped(i) for i in range(len(self.plans))))


@dataclass(slots=True, kw_only=True)
class Fetched:
    """What Elasticsearch answered: the items and first stages by index, and an envelope to put items into.

    ``reasons`` say why searches that were to be rescored have no first stage; ``answered`` is when the answer began.
    """

    envelope: Envelope = msearch_lines.EMPTY
    upstream: UpstreamAnswer | None = None
    items: dict[int, bytes] = field(default_factory=dict)
    firsts: dict[int, FirstStage] = field(default_factory=dict)
    reasons: dict[int, Reason] = field(default_factory=dict)
    answered: float = 0.0


class UnusableError(ValueError):
    """The answer to the widened request is of no use; ``reason`` says why the request passes through."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


async def fetch_all(asked: Asked, clock: Clock) -> Fetched:
    """Ask for all searches, then once more for those whose widened form failed.

    Raises:
        UnusableError: the request as it came must be sent.
        UpstreamError: Elasticsearch did not answer.
    """
    fetched, deadlines = await _windows(asked, clock)
    await _complete(asked, fetched, deadlines)
    again = [i for i, reason in fetched.reasons.items() if reason != Reason.UPSTREAM_ERROR]
    try:
        await _take(await _ask({i: asked.original(i) for i in again}, asked), fetched)
    except UpstreamError as problem:
        raise UnusableError(Reason.WIDENED_REFUSED) from problem
    return fetched


async def _windows(asked: Asked, clock: Clock) -> tuple[Fetched, Mapping[int, Deadline]]:
    """Ask for all searches and take the windows apart; the last of their deadlines bounds what is done for all."""
    fetched = Fetched(items={i: _error(planned) for i, planned in _of(asked, BadRequest)})
    widened = dict(_of(asked, RescorePlan))
    sent = [i for i, planned in enumerate(asked.plans) if not isinstance(planned, BadRequest)]
    lines = await aside(len(asked.call.request.body), lambda: {i: asked.widened(i) for i in sent})
    longest = max((plan.settings.timeout for plan in widened.values()), default=EVER)
    answers = await _ask(lines, asked, longest)
    fetched.answered = clock() - max((upstream.reading for upstream, _ in answers), default=0.0)
    taking = _take_apart(answers, widened, fetched)
    if not widened:
        await taking
    elif await Deadline(fetched.answered + longest, clock).meet(taking) is Reason.DEADLINE:
        raise UnusableError(Reason.DEADLINE)
    return fetched, {i: Deadline(fetched.answered + plan.settings.timeout, clock) for i, plan in widened.items()}


async def _take_apart(answers: Answers, widened: Mapping[int, RescorePlan], fetched: Fetched) -> None:
    await _take(answers, fetched)
    size = sum(map(len, fetched.items.values()))
    for i, plan in widened.items():
        _take_window(i, await aside(size, _window, fetched.items[i], plan), fetched)


async def _complete(asked: Asked, fetched: Fetched, deadlines: Mapping[int, Deadline]) -> None:
    """Fetch what the windows lack, for no more searches at a time than the client asked for."""
    gate, plans = asyncio.Semaphore(asked.at_a_time), dict(_of(asked, RescorePlan))

    async def whole(i: int, first: FirstStage) -> FirstStage | Reason:
        async with gate:
            try:
                return await completed(first, plans[i], asked.sender(i), deadlines[i])
            except UnusableError as problem:
                return problem.reason

    firsts = fetched.firsts
    found = await asyncio.gather(*(whole(i, first) for i, first in firsts.items()))
    by_index = dict(zip(firsts, found, strict=True))
    fetched.firsts = {i: first for i, first in by_index.items() if isinstance(first, FirstStage)}
    fetched.reasons |= {i: reason for i, reason in by_index.items() if isinstance(reason, Reason)}


def _of(asked: Asked, kind: type[Kind]) -> list[tuple[int, Kind]]:
    return [(i, planned) for i, planned in enumerate(asked.plans) if isinstance(planned, kind)]


def _error(refused: BadRequest) -> bytes:
    return error_body(400, BAD_OVERRIDE, refused.message)


def _window(item: bytes, plan: RescorePlan) -> FirstStage | Reason:
    """Take the answer to a window's request apart; without one, say whether its error may stand."""
    status = msearch_lines.status(item)
    if status != 200:
        return Reason.UPSTREAM_ERROR if status in _FINAL_STATUSES else Reason.WIDENED_REFUSED
    return window(item, plan)


def _take_window(i: int, first: FirstStage | Reason, fetched: Fetched) -> None:
    if isinstance(first, FirstStage):
        fetched.firsts[i] = first
    else:
        fetched.reasons[i] = first


async def _ask(lines: Mapping[int, Line], asked: Asked, within: float = EVER) -> Answers:
    """Ask for searches, all of one target in one request."""
    call = asked.call
    answers: Answers = []
    for target in dict.fromkeys(line.target for line in lines.values()):
        group = {i: line for i, line in lines.items() if line.target == target}
        sent = group if target == asked.search_target else _beside(group)
        upstream = await call.fetch(call.request.method, *_request(list(sent.values())), within=within)
        answers.append((upstream, list(sent)))
    return answers


def _request(lines: Sequence[Line]) -> tuple[str, bytes]:
    """Return target and body of the `_msearch` of some searches, all of one target."""
    body = msearch_lines.join((line.header, line.body) for line in lines)
    return with_parameters(lines[0].target, _FILTER, {}), body


def _beside(group: Mapping[int, Line]) -> Mapping[int, Line]:
    """Return templates with one that can be rendered: Elasticsearch refuses a request of which none can be."""
    return {**group, _NOBODY: replace(next(iter(group.values())), body=_NOTHING)}


async def _take(answers: Answers, fetched: Fetched) -> None:
    for upstream, wanted in answers:
        found = await _items(upstream, len(wanted))
        fetched.items.update({i: found.item(at) for at, i in enumerate(wanted) if i != _NOBODY})
        if fetched.upstream is None:
            fetched.upstream, fetched.envelope = upstream, found


async def _items(upstream: UpstreamAnswer, count: int) -> Envelope:
    """Take the answer to ``count`` searches apart.

    Raises:
        UnusableError: it is an error, or not such an answer.
    """
    if upstream.status != 200:
        raise UnusableError(Reason.WIDENED_REFUSED)
    try:
        return await aside(len(upstream.body), msearch_lines.envelope, upstream.body, count)
    except ValueError as problem:
        raise UnusableError(Reason.UNREADABLE_ANSWER) from problem
