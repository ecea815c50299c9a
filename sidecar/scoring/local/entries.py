"""One request's pairs on their way through the devices."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sidecar.errors import DeadlineExceeded
from sidecar.scoring.local.admission import Due
from sidecar.scoring.local.batching import Waiting
from sidecar.scoring.local.tokenization import EncodedPair

Row = npt.NDArray[np.float32]
_SPARE: Final = (0.1, 0.1)
"""What is left of a request's time for what follows its scores: a share of it, and at most so many seconds."""


@dataclass(eq=False)
class Entry:
    """A request's pairs, and what became of them. Built on the event loop; what is set below is the scheduler's.

    ``pairs`` are in the order of their worth: the first ``required`` must be run, the others as far as there is time.
    ``waiting`` are those that a device may take now, longest first, ``later`` those whose turn comes after them;
    ``flying`` are on a device, ``logits`` are the rows of those that are done, and ``ran`` are the done ones that were
    run for this entry and not for another.
    """

    pairs: Sequence[EncodedPair]
    deadline: float
    background: bool
    arrival: int
    submitted: float
    required: int
    caller: bytes = b""
    future: asyncio.Future[Any] = field(init=False)
    waiting: list[int] = field(init=False, default_factory=list)
    later: list[int] = field(init=False)
    flying: int = field(init=False, default=0)
    logits: dict[int, Row] = field(init=False, default_factory=dict)
    ran: list[int] = field(init=False, default_factory=list)
    ended: bool = field(init=False, default=False)
    finished: float | None = field(init=False, default=None)
    model_seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.future = asyncio.get_running_loop().create_future()
        self.later = list(range(len(self.pairs)))

    def _shortness(self, pair: int) -> int:
        return -len(self.pairs[pair])

    @property
    def queue_seconds(self) -> float:
        """Seconds from submission to the last batch's end, less the model's share: waiting for others' pairs."""
        return 0.0 if self.finished is None else max(0.0, self.finished - self.submitted - self.model_seconds)

    @property
    def target(self) -> float:
        """When its last batch should end, so that its answer is not late."""
        share, most = _SPARE
        if self.deadline == float("inf"):
            return self.deadline
        return self.deadline - min(share * max(0.0, self.deadline - self.submitted), most)

    @property
    def missing(self) -> list[int]:
        """The pairs that must be run and are not under way."""
        return [p for p in self.waiting if p < self.required] + self.later[: bisect_left(self.later, self.required)]

    @property
    def due(self) -> Due:
        """What must be run of it yet."""
        return Due(self.target, sum(len(self.pairs[pair]) for pair in self.missing), self.caller)

    def expose(self, tokens: int) -> None:
        """Let devices take the next pairs by their worth: so many tokens, padding counted, or what must be run."""
        if self.waiting and self.waiting[0] < self.required:
            return
        self.later = sorted([*self.waiting, *self.later])
        count = bisect_left(self.later, self.required)
        longest = max((len(self.pairs[pair]) for pair in self.later[:count]), default=0)
        while count < len(self.later):
            longest = max(longest, len(self.pairs[self.later[count]]))
            if count and longest * (count + 1) > tokens:
                break
            count += 1
        self.waiting = sorted(self.later[:count], key=self._shortness)
        del self.later[:count]

    def queued(self, now: float, speed: float, served: float) -> Waiting:
        """Return what the batch former sees, where a device runs ``speed`` tokens a second."""
        lengths = [len(self.pairs[pair]) for pair in self.waiting]
        got = None if self.missing else (served, len(self.pairs) - len(self.waiting) - len(self.later))
        return Waiting(self.deadline, self.arrival, lengths, self.background, got, self.room(now, speed))

    def room(self, now: float, speed: float) -> float:
        """Return how many tokens can be run from ``now`` on before it is late."""
        return float("inf") if self.target == float("inf") else speed * max(0.0, self.target - now)

    def take(self, start: int, end: int) -> list[int]:
        """Take waiting pairs ``start`` to ``end`` out."""
        taken = self.waiting[start:end]
        del self.waiting[start:end]
        self.flying += len(taken)
        return taken

    def wait_again(self, pair: int) -> None:
        """Put a pair back that another entry's batch will serve."""
        self.flying -= 1
        insort(self.waiting, pair, key=self._shortness)

    def serve(self, rows: dict[bytes, Row]) -> int:
        """Take the rows of pairs that wait and were run for another entry; return how many."""
        served = [pair for pair in (*self.waiting, *self.later) if self.pairs[pair].key in rows]
        if served:
            self.logits.update({pair: rows[self.pairs[pair].key] for pair in served})
            self.waiting = [pair for pair in self.waiting if pair not in self.logits]
            self.later = [pair for pair in self.later if pair not in self.logits]
        return len(served)

    def drop(self) -> None:
        """Let no more pairs be run."""
        self.waiting.clear()
        self.later.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing of it waits or runs."""
        return not (self.waiting or self.later or self.flying)

    def rows(self) -> list[Row] | None:
        """Return the rows of the first pairs, as many as are done without a gap; None where one that must be is not."""
        count = next((pair for pair in range(len(self.pairs)) if pair not in self.logits), len(self.pairs))
        return None if count < self.required else [self.logits[pair] for pair in range(count)]

    def end(self, used: int) -> int:
        """Note that its first ``used`` pairs make its answer; return how many tokens were run for nothing."""
        if self.ended:
            return 0
        self.ended = True
        self.drop()
        return sum(len(self.pairs[pair]) for pair in self.ran if pair >= used)


Item = tuple[Entry, int]


def late() -> DeadlineExceeded:
    """Return the failure of an entry that was not done in time."""
    return DeadlineExceeded("the time allowed for scoring ran out")


def resolve(entry: Entry, outcome: list[Row] | Exception) -> None:
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
