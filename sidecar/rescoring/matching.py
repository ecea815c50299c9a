"""Which mapping holds for an index expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sidecar.config.match import Match, match
from sidecar.config.model import Config
from sidecar.reasons import Reason
from sidecar.rescoring.resolver import IndexResolver
from sidecar.search.types import PassThrough
from sidecar.upstream_types import Fetch

_ALL = "_all"


async def match_expression(
    expression: str | None,
    config: Config,
    resolver: IndexResolver,
    headers: Mapping[str, str],
    fetch: Fetch,
) -> Match | PassThrough:
    """Match by the words of the expression, and else by what Elasticsearch says they stand for.

    An expression that is written in the configuration costs no request. ``None`` means all indices.
    """
    if not config.indices:
        return PassThrough(Reason.NO_MAPPING)
    expression = expression or _ALL
    found = match(config.indices, expression.split(","))
    if isinstance(found, PassThrough):
        names = await resolver.names("*" if expression == _ALL else expression, headers, fetch)
        found = match(config.indices, names) if names else found
    return found if isinstance(found, PassThrough) else replace(found, expression=expression)
