"""Which upstream URL the next request goes to: round robin, those that failed are skipped for a while. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class Balancer:
    """Orders URLs for each request; the clock's reading (seconds) is passed in."""

    def __init__(self, urls: Sequence[str], dead_for: float) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._dead_for = dead_for
        self._dead_until: dict[str, float] = {}
        self._next = 0

    def order(self, now: float) -> list[str]:
        """Give the URLs to try in turn: the living first, each time starting at another; then the dead."""
        self._next = (self._next + 1) % len(self._urls)
        turned = self._urls[self._next :] + self._urls[: self._next]
        return sorted(turned, key=lambda url: self._dead_until.get(url, 0.0) > now)

    def failed(self, url: str, now: float) -> None:
        """Note that a URL could not be connected to."""
        self._dead_until[url] = now + self._dead_for

    def answered(self, url: str) -> None:
        """Note that a URL answered."""
        self._dead_until.pop(url, None)
