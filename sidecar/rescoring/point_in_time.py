"""Point-in-time searches name no index: Elasticsearch is asked which indices' documents one holds.

A PIT does not change, so the answer is the same on every replica, after a restart, and for every page; and what may
search in a PIT may ask this. Indices without documents are not in the answer: no hit can come from them.

A PIT search without `sort` is a ranked list like any other and is rescored. One with `sort`, be it only `_score`,
has `sort` values in its hits that clients hand to `search_after`; a permuted page would lose and repeat hits on
the next one, so it passes as `sorted` (observed on 9.5.3: without `sort` there are no such values, and `search_after`
is refused). Source: Elasticsearch reference, "Open point in time" and "Paginate search results".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import msgspec

from sidecar.cache import ByteCache
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.upstream import LookUp
from sidecar.errors import UpstreamError
from sidecar.rescoring.aside import aside
from sidecar.rescoring.resolver import caller, configured_name

_MAX_BYTES = 8 << 20
_MOST_INDICES = 10_000
_TARGET = "/_search?filter_path=timed_out,_shards.failed,aggregations.*.sum_other_doc_count,aggregations.*.buckets"


class _Bucket(msgspec.Struct):
    key: str


class _Terms(msgspec.Struct):
    sum_other_doc_count: int
    buckets: list[_Bucket] = []  # an empty list is no longer there when filtered


class _Aggregations(msgspec.Struct):
    indices: _Terms


class _Shards(msgspec.Struct):
    failed: int


class _Counted(msgspec.Struct):
    timed_out: bool
    aggregations: _Aggregations
    shards: _Shards = msgspec.field(name="_shards")


class PointsInTime:
    """Remembers which indices each point in time holds, for each caller: callers may see different documents."""

    def __init__(self) -> None:
        self._known = ByteCache[tuple[str, ...]](_MAX_BYTES)
        self._asking: dict[tuple[str, bytes], asyncio.Task[tuple[str, ...]]] = {}

    async def names(self, name: str, headers: Mapping[str, str], look_up: LookUp) -> tuple[str, ...]:
        """Return the names of the indices and data streams in the PIT ``name``; none where Elasticsearch does not say.

        A failure is not remembered: the next search asks again.
        """
        key = (name, caller(headers))
        known = self._known.get(key)
        if known is not None:
            return known
        task = self._asking.get(key)
        if task is None:  # the searches of an `_msearch` ask once
            task = self._asking[key] = asyncio.ensure_future(_ask(name, look_up))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        names = await asyncio.shield(task)
        if names:
            self._known.put(key, names, len(name) + sum(map(len, names)))
        return names


async def _ask(name: str, look_up: LookUp) -> tuple[str, ...]:
    terms = {"field": "_index", "size": _MOST_INDICES}
    search = {"size": 0, "track_total_hits": False, "terminate_after": 1, "pit": {"id": name}}  # one of each shard
    search["aggs"] = {"indices": {"terms": terms}}
    try:
        answer = await look_up("POST", _TARGET, json.dumps(search).encode())
        return await aside(len(answer.body), _names, answer.body) if answer.status == 200 else ()
    except (UpstreamError, ValueError):
        return ()  # the search itself will tell the client what is wrong


def _names(body: bytes) -> tuple[str, ...]:
    counted = decode(body, _Counted)
    terms = counted.aggregations.indices
    if counted.timed_out or counted.shards.failed or terms.sum_other_doc_count:
        return ()
    return tuple(sorted({configured_name(bucket.key) for bucket in terms.buckets}))
