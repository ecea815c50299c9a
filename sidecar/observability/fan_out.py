"""One observer that tells several."""

from __future__ import annotations

from sidecar.events import RescoreObserver, RescoreRecord, ShadowRecord


class FanOut:
    """Tells each observer each record, in order."""

    def __init__(self, *observers: RescoreObserver) -> None:
        self._observers = observers

    def search(self, record: RescoreRecord) -> None:
        """Pass one search's record on."""
        for observer in self._observers:
            observer.search(record)

    def shadow(self, record: ShadowRecord) -> None:
        """Pass one shadow comparison on."""
        for observer in self._observers:
            observer.shadow(record)
