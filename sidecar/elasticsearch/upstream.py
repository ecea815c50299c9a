"""What the rescorer knows of Elasticsearch: a function to ask it, and its answer. No aiohttp here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAnswer:
    """One whole answer. ``headers`` are as sent, in order, less content coding; ``body`` is decoded.

    ``reading`` are the seconds from its head to here: what has to meet a deadline began with the head.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    reading: float = 0.0


EVER: Final = float("inf")
LookUp = Callable[[str, str, bytes | None], Awaitable[UpstreamAnswer]]
"""``await look_up(method, target, body)``, with the client's own headers and credentials.

Raises:
    UpstreamError: Elasticsearch did not answer.
"""


class Fetch(Protocol):
    """Asks Elasticsearch with the client's own headers and credentials."""

    async def __call__(self, method: str, target: str, body: bytes | None, /, within: float = EVER) -> UpstreamAnswer:
        """Return a whole answer, read and decoded at most ``within`` seconds after its head.

        Raises:
            UpstreamError: Elasticsearch did not answer; for the reason ``DEADLINE``: reading took too long.
        """
        ...
