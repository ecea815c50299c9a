"""Point-in-time searches name no index: it is learnt when the PIT is opened here, or from the hits.

A PIT search without `sort` is a ranked list like any other and is rescored. One with `sort`, be it only `_score`,
has `sort` values in its hits that clients hand to `search_after`; a permuted page would lose and repeat hits on
the next one, so it passes as `sorted` (seen on 9.5.3: without `sort` there are no such values, and `search_after`
is refused). Source: Elasticsearch reference, "Open point in time" and "Paginate search results".
"""

from __future__ import annotations

import msgspec

from sidecar.cache import ByteCache
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.search.lenient_json import decode
from sidecar.upstream_types import UpstreamAnswer

_MAX_BYTES = 8 << 20


class _Pit(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    pit: _Pit | None = None


class _Hit(msgspec.Struct):
    index: str = msgspec.field(name="_index")


class _Hits(msgspec.Struct):
    hits: list[_Hit] = []


class _Answer(msgspec.Struct):
    id: str | None = None
    pit_id: str | None = None
    hits: _Hits = msgspec.field(default_factory=_Hits)


async def pit_id(body: bytes) -> str | None:
    """Give the point-in-time id that a search body names, or None."""
    if b"pit" not in body:
        return None
    try:
        found = await aside(len(body), decode, body, _Body)
    except ValueError:
        return None
    return None if found.pit is None else found.pit.id


class PointsInTime:
    """Remembers which index expression each point in time stands for."""

    def __init__(self) -> None:
        self._known = ByteCache[str](_MAX_BYTES)

    async def learn_opened(self, upstream: UpstreamAnswer, expression: str) -> None:
        """Remember the id that an answer to `_pit` gives."""
        opened = await _read(upstream)
        if opened.id is not None:
            self._remember(opened.id, expression)

    async def follow(self, call: Call, body: bytes) -> None:
        """Remember the id that an answer hands on: Elasticsearch may change it from search to search."""
        name = None if call.index is not None else await pit_id(call.request.body)
        expression = None if name is None else self._known.get(name)
        if expression is None:
            return
        renewed = (await _read(UpstreamAnswer(status=200, headers=(), body=body))).pit_id
        if renewed is not None:
            self._remember(renewed, expression)

    def _remember(self, name: str, expression: str) -> None:
        self._known.put(name, expression, len(name) + len(expression))

    def known(self, name: str) -> str | Reason:
        """Return the index expression of the PIT ``name``, if it is known."""
        return self._known.get(name) or Reason.PIT_UNKNOWN

    async def find(self, name: str, call: Call) -> str | Reason:
        """Give the index expression of the PIT ``name``; an unknown one is searched as it came, to see its hits.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        known = self.known(name)
        if not isinstance(known, Reason):
            return known
        request = call.request
        upstream = await call.fetch(request.method, request.target, request.body_for_elasticsearch or request.body)
        found = await _read(upstream)
        names = sorted({hit.index for hit in found.hits.hits})
        if not names:
            return known
        self._remember(name, ",".join(names))
        return ",".join(names)


async def _read(upstream: UpstreamAnswer) -> _Answer:
    """Read an answer; one that is an error, filtered, or not JSON tells nothing."""
    try:
        size = len(upstream.body)
        return await aside(size, decode, upstream.body, _Answer) if upstream.status == 200 else _Answer()
    except ValueError:
        return _Answer()
