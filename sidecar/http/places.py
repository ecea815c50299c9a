"""Places among the requests under way to Elasticsearch: a limit for each kind, and slow clients make room.

Searches, uploads and all else have limits of their own, so that none can starve the others. Where no place is free,
the request whose client keeps it waiting the most is broken off; a request that finds none in time is refused.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from types import TracebackType

from sidecar.errors import UpstreamError
from sidecar.reasons import Reason

_RATE = 16 << 10
"""Bytes a second that a client is expected to send or take while it is its turn."""
_TOLERATED = 1.0
"""Seconds that a client may be behind that rate before others may have its place."""
_LOOK = 0.25


class Kind(Enum):
    """What a request takes a place for."""

    SEARCH = auto()
    UPLOAD = auto()
    OTHER = auto()


class Pace:
    """How far one client is behind: entered as a context while the request waits for it.

    Args:
        evict: breaks the request off.
        clock: a monotonic clock, seconds.
        total: seconds that the whole request may last.
    """

    def __init__(
        self, evict: Callable[[], None], clock: Callable[[], float] = time.monotonic, total: float = math.inf
    ) -> None:
        self._evict = evict
        self._clock = clock
        self._ends = clock() + total
        self._behind = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = self._clock()

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, _: TracebackType | None) -> None:
        if self._since is not None:
            self._behind += self._clock() - self._since
            self._since = None

    def allowed(self, patience: float) -> float:
        """Return the seconds to wait for the client now: ``patience``, or what is left of the whole request's."""
        return min(patience, self._ends - self._clock())

    def moved(self, size: int) -> None:
        """Count bytes that the client sent or took; having been quick before is no credit."""
        self._behind = max(0.0, self._behind - size / _RATE)

    @property
    def behind(self) -> float:
        """Seconds that the client is behind the expected rate; 0 while it is not its turn."""
        if self._since is None:
            return 0.0
        return self._behind + self._clock() - self._since

    def evict(self) -> None:
        """Break the request off."""
        self._since = None
        self._evict()


class Places:
    """A limited number of places, waited for at most ``timeout`` seconds."""

    def __init__(self, limit: int, timeout: float) -> None:
        self._free = asyncio.Semaphore(limit)
        self._timeout = timeout
        self._held: set[Pace] = set()
        self._waiting = 0
        self._looked = 0.0
        self.evicted = 0
        self.refused = 0

    @asynccontextmanager
    async def one(self, pace: Pace) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            UpstreamError: none became free in time.
        """
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._held.add(pace)
        try:
            yield
        finally:
            self._held.discard(pace)
            self._free.release()

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout):
                while not await self._freed():
                    continue
        except TimeoutError as late:
            self.refused += 1
            message = "too many requests to Elasticsearch are under way, and none ended within upstream.pool_timeout"
            raise UpstreamError(message, reason=Reason.UPSTREAM_BUSY) from late
        finally:
            self._waiting -= 1

    async def _freed(self) -> bool:
        """Make room if clients are behind, and wait a moment for a free place."""
        now = time.monotonic()
        if now - self._looked > _LOOK / 2:  # those who wait look for all of them
            self._looked = now
            self._make_room()
        try:
            async with asyncio.timeout(_LOOK):
                return await self._free.acquire()
        except TimeoutError:
            return False

    def _make_room(self) -> None:
        slow = sorted(((pace.behind, id(pace), pace) for pace in self._held), reverse=True)[: self._waiting]
        for behind, _, pace in slow:
            if behind > _TOLERATED:
                self.evicted += 1
                pace.evict()
