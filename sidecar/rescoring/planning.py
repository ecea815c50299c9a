"""Plans searches under their mapping's mode, the types of their fields and the model's health."""

from __future__ import annotations

from collections.abc import Collection

from sidecar.config.match import Match
from sidecar.reasons import Reason
from sidecar.rescoring.matching import Matcher
from sidecar.rescoring.modes import control
from sidecar.rescoring.pipeline import Pipeline
from sidecar.search.plan import RescorePlan, plan
from sidecar.search.request import SearchRequest
from sidecar.search.text_fields import TextFields
from sidecar.search.types import BadRequest
from sidecar.upstream_types import Fetch

Planned = RescorePlan | Reason | BadRequest


class Planner:
    """Long-lived. ``models`` are the names of `engine.models`."""

    def __init__(self, matcher: Matcher, pipeline: Pipeline, models: Collection[str]) -> None:
        self._matcher = matcher
        self._pipeline = pipeline
        self._models = models

    async def plan(self, match: Match, request: SearchRequest, fetch: Fetch) -> Planned:
        """Plan one search."""
        planned = await self._plan(match, request, fetch)
        if not isinstance(planned, RescorePlan):
            return planned
        return control(match.mapping, request.headers) or self._pipeline.refusal(planned) or planned

    async def _plan(self, match: Match, request: SearchRequest, fetch: Fetch) -> Planned:
        """Plan, and once more with the types of the fields where the text depends on them."""
        fields = TextFields(match.mapping)
        planned = plan(request, match.mapping, match.pattern, self._models, fields)
        analysed = await self._matcher.text_fields(match, request.headers, fetch) if fields.unsure else None
        if analysed is None:
            return planned
        return plan(request, match.mapping, match.pattern, self._models, TextFields(match.mapping, analysed))
