"""The entries that wait for a device: who is admitted, whose pairs are next, and what is given up.

One queue feeds all devices of a model. Its scheduler calls it under a lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sidecar.errors import Overloaded
from sidecar.scoring.local.admission import SURE, admits, room
from sidecar.scoring.local.backend import Logits
from sidecar.scoring.local.batching import next_batch
from sidecar.scoring.local.entries import Entry, Item, Row, late, resolve

_SLICE: Final = 0.1
"""Seconds that a batch may take while somebody has a deadline: what comes meanwhile waits for its end."""


class Queue:
    """Entries in the order of their arrival, and the tokens that their callers have had since they began to wait."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.coalesced = 0
        self.thrown_away = 0
        self._served: dict[bytes, float] = {}

    def add(self, entry: Entry, running: float, now: float, speed: float) -> None:
        """Admit an entry.

        Raises:
            Overloaded: what must be run of it could not be done in time, or others' turn comes first.
        """
        promised = [other.due for other in self.entries if not other.background and not other.future.done()]
        if not entry.background and not admits(entry.due, promised, running, now, speed):
            raise Overloaded("what waits already leaves no time to score the best hits before the deadline")
        active = {other.caller for other in self.entries}
        least = min((self._served.get(caller, 0.0) for caller in active), default=0.0)
        self._served = {caller: self._served.get(caller, 0.0) for caller in active}
        self._served[entry.caller] = max(least, self._served.get(entry.caller, 0.0))
        self.entries.append(entry)

    def room(self, deadline: float, running: float, now: float, speed: float) -> float:
        """Return how many tokens can be run by a deadline besides what was promised."""
        return room((entry.due for entry in self.entries if not entry.background), running, deadline, now, speed * SURE)

    def required_pairs(self) -> int:
        """Return how many pairs wait that must be run."""
        return sum(len(entry.missing) for entry in self.entries)

    def take(self, budget: int, now: float, speed: float, spare: float = 0.0) -> list[Item]:
        """Take the next batch's pairs out, each input to the model once.

        A batch ends ``spare`` seconds before an entry is late, where it can.
        """
        self.entries = [entry for entry in self.entries if self._waits(entry, now, speed, spare)]
        if not self.entries:
            return []
        budget = self._sliced(budget, speed)
        served, soon = self._served, now + spare
        for entry in self.entries:
            entry.expose(int(min(budget // len(self.entries), entry.room(soon, speed))))
        offers = [entry.queued(soon, speed, served.get(entry.caller, 0.0)) for entry in self.entries]
        once: dict[bytes, Item] = {}
        for part in next_batch(offers, budget).parts:
            entry = self.entries[part.request]
            for pair in entry.take(part.start, part.end):
                if once.setdefault(entry.pairs[pair].key, (entry, pair)) != (entry, pair):
                    entry.wait_again(pair)
        for entry, pair in once.values():
            served[entry.caller] = served.get(entry.caller, 0.0) + len(entry.pairs[pair])
        return list(once.values())

    def _sliced(self, budget: int, speed: float) -> int:
        hurried = any(entry.deadline != float("inf") for entry in self.entries)
        return max(1, int(min(budget, speed * _SLICE))) if hurried else budget

    def _waits(self, entry: Entry, now: float, speed: float, spare: float) -> bool:
        """Return whether an entry's pairs are worth running; if not, answer those who wait for it."""
        if entry.future.done() or entry.ended:
            return False
        if entry.deadline <= now or _hopeless(entry, now, speed):
            self.end(entry)
            return False
        if not entry.missing and _next(entry) > entry.room(now + spare, speed):
            entry.drop()
            self.settle(entry)
        return bool(entry.waiting or entry.later)

    def settle(self, entry: Entry) -> None:
        """Answer those who wait for an entry, once nothing of it waits or runs."""
        if entry.idle:
            self.end(entry)

    def end(self, entry: Entry, failure: Exception | None = None) -> list[Row] | None:
        """End an entry with what is done of it, or with a failure; return its rows."""
        rows = None if failure else entry.rows()
        done = not entry.ended
        self.thrown_away += entry.end(len(rows or ()))
        if done:
            resolve(entry, late() if rows is None and failure is None else failure or rows or [])
        return rows

    def deliver(self, items: Sequence[Item], logits: Logits, ended: float) -> None:
        """Hand a batch's rows to its entries, and to all that wait for the same pairs."""
        rows = {entry.pairs[pair].key: row for (entry, pair), row in zip(items, logits, strict=True)}
        for (entry, pair), row in zip(items, logits, strict=True):
            entry.flying -= 1
            entry.logits[pair] = row
            entry.ran.append(pair)
            if entry.ended or entry.future.done():
                self.thrown_away += len(entry.pairs[pair])
        touched = {entry for entry, _ in items}
        for entry in self.entries:
            served = entry.serve(rows)
            self.coalesced += served
            touched |= {entry} if served else set()
        for entry in touched:
            entry.finished = ended
            self.settle(entry)

    def fail(self, entries: Collection[Entry], failure: Exception) -> None:
        """End entries whose batch failed; their other pairs are not run any more."""
        for entry in entries:
            self.end(entry, failure)

    def fail_all(self, failure: Exception) -> None:
        """End all entries that wait."""
        self.fail(self.entries, failure)
        self.entries = []


def _next(entry: Entry) -> int:
    """Return the tokens of the pair that is to be run next."""
    return min((len(entry.pairs[pair]) for pair in [*entry.later[:1], *entry.waiting]), default=0)


def _hopeless(entry: Entry, now: float, speed: float) -> bool:
    """Return whether what must be run would take twice the time that is left."""
    return entry.due.tokens > 2 * speed * (entry.deadline - now)
