"""Plans searches under their mapping's mode, the types of their fields and the model's health.

Of a mapping in `mode: split` a share is rescored: decided by a hash of a header's value, so that one user session sees
one ranking and every replica of the sidecar decides alike. A search without the header is in the control group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.dialect import Dialect
from sidecar.elasticsearch.filter_path import excludes
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.upstream import LookUp
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.lists import Lists, Settled, key_of
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.matching import Matcher
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.plan import RescorePlan, plan
from sidecar.rescoring.query_text.text_fields import TextFields
from sidecar.rescoring.resolver import caller
from sidecar.rescoring.server import Server
from sidecar.rescoring.unsuitable import leaves_pipeline
from sidecar.rescoring.values import BadRequest

Planned = RescorePlan | Reason | BadRequest


class Planner:
    """Long-lived. ``fusions`` are the ones that fit the models, by name in `engine.models`; None is the default's."""

    def __init__(
        self, matcher: Matcher, server: Server, pipeline: Pipeline, lists: Lists, fusions: Mapping[str | None, Fusion]
    ) -> None:
        self._matcher = matcher
        self._server = server
        self._pipeline = pipeline
        self._lists = lists
        self._fusions = fusions

    async def plan(self, match: Match, request: SearchRequest, call: Call, whole: int = 0) -> Planned:
        """Plan one search of a call, which may be one of several in a body of ``whole`` bytes."""
        dialect = await self._server.dialect(call.look_up)
        if dialect.pipelines and await self._piped(match, request, call.look_up):
            return Reason.SEARCH_PIPELINE
        if not dialect.exclusions and excludes(call.request.params.get("filter_path")):
            return Reason.FILTER_PATH
        size = max(whole, len(request.body), len(request.target))
        name = await aside(size, key_of, request) if self._lists.kept else None
        known = self._lists.find(name)
        match = match if known is None else known.match
        planned = await self._plan(match, request, call.look_up, size, dialect)
        if not isinstance(planned, RescorePlan):
            return planned
        told = planned.settings.explain == "text"  # of scores of its own, not of those that are remembered
        key = None if name is None or told else name + _part(planned, request)
        self._lists.settle(name, Settled(match))
        return self._decided(replace(planned, caller=_caller(request), key=key), match, request)

    def _decided(self, planned: RescorePlan, match: Match, request: SearchRequest) -> Planned:
        """Return what was decided for another page of the list, or decide for all of them."""
        known = self._lists.find(planned.key)
        if known is not None and known.reason is not None:
            return Reason.REMEMBERED
        if known is not None and known.order is not None:
            return replace(planned, recalled=known.order)
        refused = control(match.mapping, request.headers) or self._pipeline.refusal(planned)
        if refused is not None:
            self._lists.settle(planned.key, Settled(match, reason=refused))
        return refused or planned

    async def _piped(self, match: Match, request: SearchRequest, look_up: LookUp) -> bool:
        """Return whether the indices send a search through a search pipeline, or may do so."""
        if match.mapping.search_pipeline == "rescore" or not leaves_pipeline(request):
            return False
        found = await self._matcher.pipelines(match, request.headers, look_up)
        return found is None or bool(found)

    async def _plan(
        self, match: Match, request: SearchRequest, look_up: LookUp, size: int, dialect: Dialect
    ) -> Planned:
        """Plan, and once more with the types of the fields where the text depends on them."""
        fields, fusions = TextFields(match.mapping), self._fusions
        planned = await aside(size, plan, request, match.mapping, match.pattern, fusions, fields, dialect)
        analysed = await self._matcher.text_fields(match, request.headers, look_up) if fields.unsure else None
        if analysed is None:
            return planned
        fields = TextFields(match.mapping, analysed)
        return await aside(size, plan, request, match.mapping, match.pattern, fusions, fields, dialect)


def _part(planned: RescorePlan, request: SearchRequest) -> bytes:
    """Return what parts lists of one name: the size of the page where the list depends on it, and the user's group."""
    split = planned.mapping.mode == "split"
    group = request.headers.get(planned.mapping.split_header.lower(), "") if split else ""
    size = f"{planned.window.size} " if planned.window.exact else ""
    return (size + group).encode("utf-8", "surrogatepass")


def _caller(request: SearchRequest) -> bytes:
    """Return who shares the model with others: whose credentials these are, or where they come from without any."""
    return caller(request.headers) if "authorization" in request.headers else request.client.encode()


_BUCKETS = 10_000


def bucket(value: str) -> int:
    """Return the bucket, 0 to 9999, of a header value: uniform, and the same on every machine."""
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _BUCKETS


def control(mapping: IndexMapping, headers: Mapping[str, str]) -> Reason | None:
    """Return the reason why this search stays as Elasticsearch has it, or None when it is rescored."""
    if mapping.mode != "split":
        return None
    value = headers.get(mapping.split_header.lower())
    if value is not None and bucket(value) < mapping.split_percent * _BUCKETS / 100:
        return None
    return Reason.SPLIT_CONTROL
