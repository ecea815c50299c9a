"""What the rescorer knows of Elasticsearch: a function to ask it, and its answer. No aiohttp here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAnswer:
    """One whole answer. ``headers`` are as sent, in order, less content coding; ``body`` is decoded."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


Fetch = Callable[[str, str, bytes | None], Awaitable[UpstreamAnswer]]
"""``await fetch(method, target, body)``, with the client's own headers and credentials.

Raises:
    UpstreamError: Elasticsearch did not answer.
"""
