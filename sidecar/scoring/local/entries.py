"""One request's pairs on their way through the devices."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.errors import DeadlineExceeded
from sidecar.scoring.local.batching import Waiting
from sidecar.scoring.local.tokenization import EncodedPair

Row = npt.NDArray[np.float32]


@dataclass(eq=False)
class Entry:
    """A request's pairs, and what became of them. Built on the event loop; what is set below is the scheduler's.

    ``waiting`` are the pairs that no device has yet, longest first; ``logits`` are the rows of those that are done.
    """

    pairs: Sequence[EncodedPair]
    deadline: float
    background: bool
    arrival: int
    submitted: float
    future: asyncio.Future[Any] = field(init=False)
    waiting: list[int] = field(init=False)
    logits: dict[int, Row] = field(init=False, default_factory=dict)
    finished: float | None = field(init=False, default=None)
    model_seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.future = asyncio.get_running_loop().create_future()
        self.waiting = sorted(range(len(self.pairs)), key=self._shortness)

    def _shortness(self, pair: int) -> int:
        return -len(self.pairs[pair])

    @property
    def queue_seconds(self) -> float:
        """Seconds from submission to the last batch's end, less the model's share: waiting for others' pairs."""
        return 0.0 if self.finished is None else max(0.0, self.finished - self.submitted - self.model_seconds)

    def queued(self) -> Waiting:
        """Return what the batch former sees."""
        lengths = [len(self.pairs[pair]) for pair in self.waiting]
        return Waiting(self.deadline, self.arrival, lengths, self.background)

    def take(self, start: int, end: int) -> list[int]:
        """Take waiting pairs ``start`` to ``end`` out."""
        taken = self.waiting[start:end]
        del self.waiting[start:end]
        return taken

    def wait_again(self, pair: int) -> None:
        """Put a pair back that another entry's batch will serve."""
        insort(self.waiting, pair, key=self._shortness)


Item = tuple[Entry, int]


def without_expired(entries: Sequence[Entry], now: float) -> list[Entry]:
    """Fail the entries that are late, and return those that somebody still waits for."""
    for entry in entries:
        if entry.deadline <= now:
            resolve(entry, DeadlineExceeded("the time allowed for scoring ran out"))
    return [entry for entry in entries if entry.deadline > now and not entry.future.done() and entry.waiting]


def resolve(entry: Entry, outcome: Row | Exception) -> None:
    """Hand an entry's outcome to its event loop, unless nobody waits for it any more."""

    def tell() -> None:
        if entry.future.done():
            return
        if isinstance(outcome, Exception):
            entry.future.set_exception(outcome)
        else:
            entry.future.set_result(outcome)

    loop = entry.future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)
