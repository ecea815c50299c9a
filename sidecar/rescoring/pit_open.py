"""`_pit` and `_search/point_in_time`: opened by Elasticsearch; what becomes of searches in it is told already."""

from __future__ import annotations

import msgspec

from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.reasons import Reason
from sidecar.rescoring.call import Call
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.outcome import Outcome, answered, passed, passed_record
from sidecar.rescoring.services import Services


class _Opened(msgspec.Struct):
    id: str = ""
    pit_id: str = ""


class OpenPointInTime:
    """Answers both."""

    def __init__(self, services: Services) -> None:
        self._matcher = services.matcher

    async def __call__(self, call: Call) -> Outcome:
        """Open a point in time, and say what its searches will be told.

        Indices of several mappings may have documents of one only, and then one mapping holds in the point in time.
        """
        if isinstance(call.match, Reason) and call.match != Reason.MIXED_MAPPINGS:
            return passed(call.match, call)
        request = call.request
        upstream = await call.fetch(request.method, request.target, request.body or None)
        return answered(upstream, passed_record(await self._told(upstream, call), call))

    async def _told(self, upstream: UpstreamAnswer, call: Call) -> Reason:
        try:
            opened = decode(upstream.body, _Opened) if upstream.status == 200 else None
        except ValueError:
            opened = None
        name = "" if opened is None else opened.id or opened.pit_id
        if not name:
            return Reason.UPSTREAM_ERROR if upstream.status != 200 else Reason.PIT_UNKNOWN
        found = await self._matcher.point_in_time(name, call)
        return Reason.PIT_OPEN if isinstance(found, Match) else found
