"""Fetches the texts that a first stage lacks (see `search.lookup`)."""

from __future__ import annotations

from sidecar.search import lookup
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage
from sidecar.upstream_types import Fetch


async def with_texts(first: FirstStage, plan: RescorePlan, fetch: Fetch) -> FirstStage:
    """Give the first stage with all its texts; those that cannot be had stay missing.

    Raises:
        UpstreamError: Elasticsearch did not answer.
    """
    wanted = lookup.request(first, plan)
    if wanted is None:
        return first
    target, body = wanted
    upstream = await fetch("POST", target, body, None)
    if upstream.status != 200:
        return first
    try:
        return lookup.completed(first, plan, upstream.body)
    except ValueError:
        return first
