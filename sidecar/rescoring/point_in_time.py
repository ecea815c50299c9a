"""Point-in-time searches name no index: it is learnt when the PIT is opened here, or from the hits.

Source: Elasticsearch reference, "Open point in time" and "Paginate search results".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from sidecar.config.match import Match
from sidecar.events import RescoreRecord
from sidecar.rescoring import answer
from sidecar.rescoring.answer import Answer
from sidecar.rescoring.remembered import Remembered
from sidecar.search.types import PassThrough, SearchRequest
from sidecar.upstream_types import Fetch, UpstreamAnswer


class _Opened(msgspec.Struct):
    id: str


class _Pit(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    pit: _Pit | None = None


class _Hit(msgspec.Struct):
    index: str = msgspec.field(name="_index")


class _Hits(msgspec.Struct):
    hits: list[_Hit] = []


class _Answer(msgspec.Struct):
    pit_id: str | None = None
    hits: _Hits = msgspec.field(default_factory=_Hits)


def pit_id(body: bytes) -> str | None:
    """Give the point-in-time id that a search body names, or None."""
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, ValueError):
        return None
    return None if found.pit is None else found.pit.id


class PointsInTime:
    """Remembers which mapping each point in time belongs to."""

    def __init__(self) -> None:
        self._known: Remembered[Match | PassThrough] = Remembered()

    async def open(self, match: Match, request: SearchRequest, fetch: Fetch) -> Answer:
        """Open a PIT on a mapped index and remember it.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        upstream = await fetch(request.method, request.target, request.body or None, None)
        if upstream.status == 200:
            self._learn_opened(upstream.body, match)
        record = RescoreRecord(outcome="passed", reason="pit_open", endpoint="pit", mapping=match.pattern)
        return answer.from_upstream(upstream, record)

    def _learn_opened(self, body: bytes, match: Match) -> None:
        try:
            self._known.put(msgspec.json.decode(body, type=_Opened).id, match)
        except msgspec.MsgspecError:  # filtered or not JSON: the hits of its first search will tell
            return

    async def find(
        self,
        name: str,
        request: SearchRequest,
        fetch: Fetch,
        match_names: Callable[[list[str]], Awaitable[Match | PassThrough]],
    ) -> Match | PassThrough:
        """Give the mapping of the PIT ``name``; an unknown one is searched once as it came, to see its hits."""
        known = self._known.get(name)
        if known is None:
            upstream = await fetch(request.method, request.target, request.body, None)
            known = await self._from_hits(upstream, match_names)
            self._known.put(name, known)
        return known

    async def _from_hits(
        self, upstream: UpstreamAnswer, match_names: Callable[[list[str]], Awaitable[Match | PassThrough]]
    ) -> Match | PassThrough:
        try:
            found = msgspec.json.decode(upstream.body, type=_Answer)
        except msgspec.MsgspecError:
            return PassThrough("pit_unknown")
        names = sorted({hit.index for hit in found.hits.hits})
        return await match_names(names) if names else PassThrough("pit_unknown")

    def follow(self, body: bytes, match: Match) -> None:
        """Remember the id that an answer hands on: Elasticsearch may change it from search to search."""
        try:
            renewed = msgspec.json.decode(body, type=_Answer).pit_id
        except msgspec.MsgspecError:
            return
        if renewed is not None:
            self._known.put(renewed, match)
