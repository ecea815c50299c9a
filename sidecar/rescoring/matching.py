"""Which mapping applies to a search: by its path, by the point in time that it is in, or by all indices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from sidecar.config.model import Config
from sidecar.elasticsearch.msearch_lines import SubSearch
from sidecar.elasticsearch.upstream import Fetch
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.call import Call
from sidecar.rescoring.mappings import Match, match
from sidecar.rescoring.point_in_time import PointsInTime, pit_id
from sidecar.rescoring.resolver import IndexResolver

_ALL = "_all"
Known = dict[str | None, asyncio.Task[Match | Reason]]


class Matcher:
    """Long-lived: remembers what index expressions and points in time stand for."""

    def __init__(self, resolve_ttl: float, clock: Callable[[], float]) -> None:
        self._resolver = IndexResolver(resolve_ttl, clock)
        self.points = PointsInTime()

    async def expression(
        self, expression: str | None, config: Config, headers: Mapping[str, str], fetch: Fetch
    ) -> Match | Reason:
        """Match by the words of the expression, and else by what Elasticsearch says they stand for.

        An expression that is written in the configuration costs no request. ``None`` means all indices.
        """
        if not config.indices:
            return Reason.NO_MAPPING
        expression = expression or _ALL
        found = await aside(len(expression), match, config.indices, expression.split(","))
        if isinstance(found, Reason):
            names = await self._resolver.names("*" if expression == _ALL else expression, headers, fetch)
            found = await aside(sum(map(len, names)), match, config.indices, names) if names else found
        return found if isinstance(found, Reason) else replace(found, expression=expression)

    async def text_fields(self, match: Match, headers: Mapping[str, str], fetch: Fetch) -> frozenset[str] | None:
        """Return the fields of the matched indices that are analysed, None where that is not known."""
        if match.expression is None:
            return None
        return await self._resolver.text_fields(match.expression, headers, fetch)

    async def call(self, call: Call) -> Match | Reason:
        """Match a single search.

        Raises:
            UpstreamError: Elasticsearch did not answer.
        """
        if call.match is not None:
            return call.match
        name = await pit_id(call.request.body)
        return await self._of_index(None, call) if name is None else await self.point_in_time(name, call)

    async def sub_search(self, sub: SubSearch, call: Call, known: Known) -> Match | Reason:
        """Match one search of several; ``known`` is what is matched for the others, each expression once."""
        if isinstance(call.match, Reason):
            return call.match
        name = await pit_id(sub.body)
        if name is not None:
            return await self.point_in_time(name, call)
        index = sub.index or call.index
        if index not in known:
            known[index] = asyncio.create_task(self._of_index(index, call))
        return await known[index]

    async def _of_index(self, index: str | None, call: Call) -> Match | Reason:
        return await self.expression(index, call.config, call.request.headers, call.fetch)

    async def point_in_time(self, name: str, call: Call) -> Match | Reason:
        """Match a search in a point in time, by the indices whose documents that holds."""
        if not call.config.indices:
            return Reason.NO_MAPPING
        names = await self.points.names(name, call.request.headers, call.fetch)
        if not names:
            return Reason.PIT_UNKNOWN
        found = await aside(sum(map(len, names)), match, call.config.indices, names)
        return found if isinstance(found, Reason) else replace(found, expression=",".join(names))
