"""What the handlers of endpoints share. Long-lived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sidecar.cache import ByteCache
from sidecar.rescoring.call import Call
from sidecar.rescoring.matching import Matcher
from sidecar.rescoring.outcome import Outcome
from sidecar.rescoring.pipeline import Pipeline
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.planning import Planner
from sidecar.rescoring.server import Server
from sidecar.rescoring.shadow import Shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once, handed to each handler.

    Attributes:
        matcher: finds the mapping of a search.
        planner: plans searches.
        server: knows what the server behind the sidecar speaks.
        pipeline: scores first stages and applies the scores.
        shadow: compares beside the answer.
        submitted: the plans of async searches, by their ids.
    """

    matcher: Matcher
    planner: Planner
    server: Server
    pipeline: Pipeline
    shadow: Shadow
    submitted: ByteCache[RescorePlan]


Handle = Callable[[Call], Awaitable[Outcome]]
"""Answers one request, or says why it is forwarded unchanged.

Raises:
    UpstreamError: Elasticsearch did not answer.
"""
Handler = Callable[[Services], Handle]
"""Builds what answers the requests of one endpoint."""
