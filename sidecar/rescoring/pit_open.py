"""`_pit`: opened by Elasticsearch, remembered here."""

from __future__ import annotations

from sidecar.reasons import Reason
from sidecar.rescoring.call import Call
from sidecar.rescoring.outcome import Outcome, answered, passed, passed_record
from sidecar.rescoring.services import Services


class OpenPointInTime:
    """Answers `_pit`."""

    def __init__(self, services: Services) -> None:
        self._points = services.matcher.points

    async def __call__(self, call: Call) -> Outcome:
        """Open a point in time."""
        if isinstance(call.match, Reason):
            return passed(call.match, call)
        request = call.request
        upstream = await call.fetch(request.method, request.target, request.body or None)
        await self._points.learn_opened(upstream, call.index or "")
        return answered(upstream, passed_record(Reason.PIT_OPEN, call))
