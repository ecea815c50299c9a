"""Which mapping applies to a search: by its path, by the point in time that it is in, or by all indices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sidecar.config.model import Config
from sidecar.elasticsearch.msearch_lines import SubSearch
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.upstream import LookUp
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.mappings import Match, match
from sidecar.rescoring.point_in_time import PointsInTime
from sidecar.rescoring.resolver import IndexResolver

_ALL = "_all"
_EXPAND = "expand_wildcards"
_USUAL = (None, "open")
Known = dict[tuple[str | None, str | None], asyncio.Task[Match | Reason]]
"""What is matched for searches of one request by their expressions and `expand_wildcards`, each pair once."""


class Matcher:
    """Long-lived: remembers what index expressions and points in time stand for."""

    def __init__(self, resolve_ttl: float, clock: Callable[[], float]) -> None:
        self._resolver = IndexResolver(resolve_ttl, clock)
        self.points = PointsInTime()

    async def expression(
        self, expression: str | None, expand: str | None, config: Config, headers: Mapping[str, str], look_up: LookUp
    ) -> Match | Reason:
        """Match by the words of the expression, and else by what Elasticsearch says they stand for.

        An expression that is written in the configuration costs no request, except where `expand_wildcards`, that is
        ``expand``, lets a wildcard stand for indices that it does not reach in a configuration. ``None`` means all
        indices.
        """
        if not config.indices:
            return Reason.NO_MAPPING
        expression = expression or _ALL
        found: Match | Reason = Reason.NO_MAPPING
        if expand in _USUAL or not ("*" in expression or expression == _ALL):
            found = await aside(len(expression), match, config.indices, expression.split(","))
        if isinstance(found, Reason):
            names = await self._resolver.names("*" if expression == _ALL else expression, expand, headers, look_up)
            found = await self._of_names(names, config) if names else found
        return found if isinstance(found, Reason) else replace(found, expression=expression, expand_wildcards=expand)

    async def _of_names(self, names: Sequence[str], config: Config) -> Match | Reason:
        return await aside(sum(map(len, names)), match, config.indices, names)

    async def text_fields(self, match: Match, headers: Mapping[str, str], look_up: LookUp) -> frozenset[str] | None:
        """Return the fields of the matched indices that are analysed, None where that is not known."""
        if match.expression is None:
            return None
        return await self._resolver.text_fields(match.expression, match.expand_wildcards, headers, look_up)

    async def pipelines(self, match: Match, headers: Mapping[str, str], look_up: LookUp) -> frozenset[str] | None:
        """Return the search pipelines of the matched indices, None where that is not known."""
        expression = match.expression or _ALL
        return await self._resolver.pipelines(expression, match.expand_wildcards, headers, look_up)

    async def call(self, call: Call) -> Match | Reason:
        """Match a single search."""
        return call.match or await self.unnamed(call.request, call, None, {})

    async def named(self, sub: SubSearch, call: Call, known: Known) -> Match | Reason | None:
        """Match one search of several by the names of its header or of the path, None where there are none."""
        expression = sub.index or call.index
        if isinstance(call.match, Reason) or expression is None:
            return call.match
        return await self._once(expression, _expand(sub, call), call, known)

    async def unnamed(self, request: SearchRequest, call: Call, sub: SubSearch | None, known: Known) -> Match | Reason:
        """Match a search for which no indices are named: it is in a point in time, or on all indices."""
        if request.pit is None:
            return await self._once(None, _expand(sub, call), call, known)
        return await self.point_in_time(request.pit, call)

    async def _once(self, expression: str | None, expand: str | None, call: Call, known: Known) -> Match | Reason:
        key = (expression, expand)
        if key not in known:
            found = self.expression(expression, expand, call.config, call.request.headers, call.look_up)
            known[key] = asyncio.create_task(found)
        return await known[key]

    async def point_in_time(self, name: str, call: Call) -> Match | Reason:
        """Match a search in a point in time, by the indices whose documents that holds."""
        if not call.config.indices:
            return Reason.NO_MAPPING
        names = await self.points.names(name, call.request.headers, call.look_up)
        if not names:
            return Reason.PIT_UNKNOWN
        found = await self._of_names(names, call.config)
        return found if isinstance(found, Reason) else replace(found, expression=",".join(names))


def _expand(sub: SubSearch | None, call: Call) -> str | None:
    """Return the `expand_wildcards` of a search; a header line's takes precedence over the parameter."""
    given = None if sub is None else sub.expand_wildcards
    return call.request.params.get(_EXPAND) if given is None else given
