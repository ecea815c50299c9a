"""An observer that keeps what it is told."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from sidecar.events import RescoreRecord, SearchStart, ShadowRecord, Tell


class Told:
    """Keeps the records."""

    def __init__(self) -> None:
        self.searches: list[RescoreRecord] = []
        self.shadows: list[ShadowRecord] = []

    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        """Keep each single search's record."""
        return nullcontext(lambda record: self.searches.extend(record.searches))

    def shadow(self, record: ShadowRecord) -> None:
        """Keep one comparison."""
        self.shadows.append(record)
