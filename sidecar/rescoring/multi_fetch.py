"""What `_msearch` asks Elasticsearch for: widened searches, and what it refuses of them once more as it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.rescoring import answer
from sidecar.rescoring.pipeline import read_or_none
from sidecar.search import multi
from sidecar.search.multi import Envelope, SubSearch
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage
from sidecar.search.routes import with_parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer

Planned = RescorePlan | PassThrough | BadRequest
Kind = TypeVar("Kind")
_FILTER = frozenset({"filter_path"})
# Item errors that the search as it came would have, too.
_FINAL_STATUSES = frozenset({401, 403, 404})


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

    def original(self, i: int) -> bytes:
        """Give a search as it came, less our `ext.rescore`."""
        planned = self.plans[i]
        if self.templates or isinstance(planned, BadRequest):
            return self.subs[i].body
        stripped = planned.body if isinstance(planned, PassThrough) else planned.original_body
        return self.subs[i].body if stripped is None else stripped

    def edited(self) -> bytes | None:
        """Give the whole body less our `ext.rescore`, None where there is nothing to take out of it."""
        lines = [self.original(i) for i in range(len(self.subs))]
        if all(line is sub.body for line, sub in zip(lines, self.subs, strict=True)):
            return None
        return multi.join((sub.header, line) for sub, line in zip(self.subs, lines, strict=True))


@dataclass(slots=True, kw_only=True)
class Fetched:
    """What Elasticsearch answered: the items and first stages by index, and an envelope to put items into."""

    envelope: Envelope = multi.EMPTY
    upstream: UpstreamAnswer | None = None
    items: dict[int, bytes] = field(default_factory=dict)
    firsts: dict[int, FirstStage] = field(default_factory=dict)


class UnusableError(ValueError):
    """The answer to the widened request is of no use; the message is the reason to pass through."""


async def fetch_all(asked: Asked, fetch: Fetch) -> Fetched:
    """Ask for all searches, then once more for those whose widened form failed.

    Raises:
        UnusableError: the request as it came must be sent.
        UpstreamError: Elasticsearch did not answer.
    """
    fetched = Fetched(items={i: _error(planned) for i, planned in _of(asked, BadRequest)})
    widened = dict(_of(asked, RescorePlan))
    others = [i for i, _ in _of(asked, PassThrough)]
    if asked.templates:
        await _ask(list(widened), asked, fetched, fetch)
        await _ask_originals(others, asked, fetched, fetch)
    else:
        await _ask(sorted([*widened, *others]), asked, fetched, fetch)
    await _ask_originals([i for i, plan in widened.items() if not _usable(i, plan, fetched)], asked, fetched, fetch)
    return fetched


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


async def _ask(wanted: Sequence[int], asked: Asked, fetched: Fetched, fetch: Fetch) -> None:
    """Ask for widened searches, and for others as they came."""
    lines = [(asked.rendered[i].header, _widened(i, asked)) for i in wanted]
    await _send(wanted, asked.search_target, lines, asked, fetched, fetch)


async def _ask_originals(wanted: Sequence[int], asked: Asked, fetched: Fetched, fetch: Fetch) -> None:
    lines = [(asked.subs[i].header, asked.original(i)) for i in wanted]
    await _send(wanted, asked.request.target, lines, asked, fetched, fetch)


def _widened(i: int, asked: Asked) -> bytes:
    planned = asked.plans[i]
    return planned.body if isinstance(planned, RescorePlan) else asked.original(i)


async def _send(
    wanted: Sequence[int],
    target: str,
    lines: Sequence[tuple[bytes, bytes]],
    asked: Asked,
    fetched: Fetched,
    fetch: Fetch,
) -> None:
    if not wanted:
        return
    upstream = await fetch(asked.request.method, with_parameters(target, _FILTER, {}), multi.join(lines), None)
    if upstream.status != 200:
        raise UnusableError("widened_refused")
    try:
        found = multi.envelope(upstream.body, len(wanted))
    except ValueError as problem:
        raise UnusableError("unreadable_answer") from problem
    fetched.items.update({i: found.item(at) for at, i in enumerate(wanted)})
    if fetched.upstream is None:
        fetched.upstream, fetched.envelope = upstream, found
