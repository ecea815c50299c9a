"""An observer that keeps what it is told."""

from __future__ import annotations

from sidecar.events import RescoreRecord, ShadowRecord


class Told:
    """Keeps the records."""

    def __init__(self) -> None:
        self.searches: list[RescoreRecord] = []
        self.shadows: list[ShadowRecord] = []

    def search(self, record: RescoreRecord) -> None:
        """Keep one search's record."""
        self.searches.append(record)

    def shadow(self, record: ShadowRecord) -> None:
        """Keep one comparison."""
        self.shadows.append(record)
