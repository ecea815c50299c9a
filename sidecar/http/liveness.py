"""Finds out which upstream URLs are alive: suspects are probed, the dead are probed again in growing pauses.

A reset, a 502, 503 or 504 and an answer that takes long make a URL suspect; any answer to a probe but those three
clears it (a search on an index without a primary is a 503 of a healthy node). Requests that may be sent again leave a
URL that is found dead at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sidecar.http.balancing import Balancer

_log = logging.getLogger("sidecar.proxy")
UNAVAILABLE = (502, 503, 504)


class DiedError(Exception):
    """The URL a request waited for was found dead."""


class Liveness:
    """Watches the URLs of a balancer; with a single one there is no choice, and nothing is probed.

    Args:
        balancer: told what is found.
        probe: says whether a URL answers; bounded in time.
        several: whether there is more than one URL.
        after: seconds without an answer that make a URL suspect.
    """

    def __init__(
        self, balancer: Balancer, probe: Callable[[str], Awaitable[bool]], *, several: bool, after: float
    ) -> None:
        self._balancer = balancer
        self._probe = probe
        self._several = several
        self._after = after
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._exits: dict[str, set[asyncio.Timeout]] = {}

    @asynccontextmanager
    async def waiting(self, url: str, *, leave: bool) -> AsyncIterator[None]:
        """Wait for an answer of a URL, which becomes suspect when that takes long.

        Raises:
            DiedError: it was found dead, and ``leave`` is set.
        """
        if not self._several:
            yield
            return
        alarm = _Alarm(lambda: self.suspect(url), self._after)
        exits = self._exits.setdefault(url, set())
        try:
            async with asyncio.timeout(None) as door:
                if leave:
                    exits.add(door)
                try:
                    yield
                finally:
                    exits.discard(door)
                    alarm.cancel()
        except TimeoutError as left:
            if not door.expired():
                raise
            raise DiedError(f"{url} does not answer") from left

    def suspect(self, url: str) -> None:
        """Probe a URL, which is left out if it does not answer."""
        self._check(url, known_dead=False)

    def failed(self, url: str) -> None:
        """Leave a URL out until a probe finds it alive."""
        self._check(url, known_dead=True)

    def answered(self, url: str) -> None:
        """Take a URL for alive: it answered."""
        self._balancer.answered(url)
        check = self._checks.pop(url, None)
        if check is not None:
            check.cancel()

    def _check(self, url: str, *, known_dead: bool) -> None:
        if self._several and url not in self._checks:
            self._checks[url] = asyncio.create_task(self._until_alive(url, known_dead=known_dead))
        elif known_dead and not self._several:
            self._balancer.failed(url)

    async def _until_alive(self, url: str, *, known_dead: bool) -> None:
        dead = known_dead or not await self._probe(url)
        while dead:
            pause = self._balancer.failed(url)
            _log.warning("%s does not answer: left out, probed again in %.1f s", url, pause)
            for door in self._exits.pop(url, ()):
                door.reschedule(0)
            await asyncio.sleep(pause)
            dead = not await self._probe(url)
        del self._checks[url]
        self._balancer.answered(url)

    async def close(self) -> None:
        """Stop probing."""
        checks = [*self._checks.values()]
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)


class _Alarm:
    """Calls a function again and again until cancelled."""

    def __init__(self, call: Callable[[], None], every: float) -> None:
        self._call = call
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(every, self._ring)

    def _ring(self) -> None:
        self._call()
        self._handle = self._loop.call_later(self._every, self._ring)

    def cancel(self) -> None:
        self._handle.cancel()
