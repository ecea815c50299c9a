"""Which upstream URL the next request goes to: round robin over the living. Pure.

A URL that failed is left out until a probe finds it alive; the pauses between probes double. `elastic_transport`'s
NodePool is not used: it hands a node back to all requests as soon as its pause is over (no probe, so that a node
which accepts and says nothing takes them all), offers no second choice, and reads the wall clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_DOUBLINGS = 5


class Balancer:
    """Orders URLs for each request.

    Args:
        urls: base URLs.
        pause: seconds until the first probe of a URL that failed; doubled by each further failure, up to 32 times it.
        random: spreads the probes of several sidecars.
    """

    def __init__(self, urls: Sequence[str], pause: float, random: Random | None = None) -> None:
        self._urls = tuple(urls)
        self._pause = pause
        self._random = random or Random()  # noqa: S311 - no secret
        self._failures: dict[str, int] = {}
        self._next = 0

    def order(self) -> list[str]:
        """Return the URLs to try in turn: the living first, each time starting at another; then the dead."""
        self._next = (self._next + 1) % len(self._urls)
        turned = self._urls[self._next :] + self._urls[: self._next]
        return sorted(turned, key=lambda url: url in self._failures)

    def failed(self, url: str) -> float:
        """Note a failure and return the seconds until the URL is to be probed: up to a tenth more than their due."""
        failures = self._failures.get(url, 0)
        self._failures[url] = failures + 1
        return float(self._pause * 2 ** min(failures, _DOUBLINGS) * self._random.uniform(1.0, 1.1))

    def answered(self, url: str) -> None:
        """Note that a URL is alive."""
        self._failures.pop(url, None)

    @property
    def dead(self) -> int:
        """How many URLs are left out."""
        return len(self._failures)
