"""The threads that run batches: one a device, all fed from one queue.

A device that is free takes the next batch, so no device waits while another has work queued. Identical pairs run
once: a batch holds each pair a single time, and its scores go to every entry that waits for that pair when the batch
ends. Nobody depends on another's entry: cancelling one leaves the others' pairs waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sidecar.errors import BackendFailed
from sidecar.scoring.local.backend import Backend, Logits, Pending
from sidecar.scoring.local.entries import Entry, Item, Row
from sidecar.scoring.local.queue import Queue
from sidecar.scoring.local.speed import UNKNOWN, Speed
from sidecar.scoring.local.tokenization import EncodedPair

_PATIENCE = 60.0  # more than the largest batch of the largest model takes on a slow CPU
_STALL = 10.0  # more than most batches take, and less than a thread is given until it is replaced
_RESTARTS = 8  # a device that hangs again and again is left alone: each time leaves a thread behind
_log = logging.getLogger("sidecar.scoring")


@dataclass(eq=False, slots=True)
class _Running:
    """A batch on a device; ``pending`` is what it gives, or what it raised when it was started."""

    items: list[Item]
    started: float
    tokens: int
    pending: Pending | Exception | None = None

    def logits(self) -> Logits:
        if isinstance(self.pending, Exception) or self.pending is None:
            raise self.pending or RuntimeError("not started")
        return self.pending()


@dataclass(eq=False, slots=True)
class _Worker:
    """A device, and the thread that runs batches on it; one that hung is ``abandoned``, and another has its device."""

    backend: Backend
    speed: Speed = field(default_factory=Speed)
    running: deque[_Running] = field(default_factory=deque)
    thread: threading.Thread | None = None
    abandoned: bool = False

    def hangs(self, since: float) -> bool:
        """Return whether a batch runs that was started before ``since``, or the thread is gone."""
        oldest = next((batch.started for batch in list(self.running)), since)
        return oldest < since or not (self.thread and self.thread.is_alive())

    def entries(self) -> set[Entry]:
        """Return the entries whose pairs run."""
        return {entry for batch in list(self.running) for entry, _ in batch.items}

    def running_tokens(self, now: float) -> float:
        """Return the tokens that run and, by the device's speed, have not been run yet."""
        batches = list(self.running)
        if not batches:
            return 0.0
        done = self.speed.at(now) * (now - batches[0].started)
        return max(0.0, sum(batch.tokens for batch in batches) - done)


class Scheduler:
    """Runs entries on backends. ``submit`` is called from the event loop, everything else is the threads' own.

    A thread that died, or has not finished a batch for ``patience`` seconds, is replaced, a few times.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
        speeds: Sequence[float] = (),
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._queue = Queue()
        self._wake = threading.Condition()
        self._closed = False
        self._arrivals = 0
        self.restarts = 0
        self.tokens_run = 0
        measured = speeds or [UNKNOWN] * len(backends)
        self._workers = [_Worker(backend, Speed(speed)) for backend, speed in zip(backends, measured, strict=True)]
        for worker in self._workers:
            self._begin(worker)

    def _begin(self, worker: _Worker) -> None:
        worker.thread = threading.Thread(target=self._run, args=(worker,), name="scoring", daemon=True)
        worker.thread.start()

    def hanging(self) -> int:
        """Replace threads that died or hang, and return how many devices have none that runs."""
        with self._wake:
            since = self._clock() - self._patience
            for place, worker in enumerate(self._workers):
                if worker.hangs(since) and self.restarts < _RESTARTS and not self._closed:
                    self._workers[place] = self._replaced(worker)
            return sum(worker.hangs(since) for worker in self._workers)

    def stalled(self) -> bool:
        """Return whether every device has run one batch for so long that its model seems to hang."""
        with self._wake:
            since = self._clock() - _STALL
            return all(worker.hangs(since) for worker in self._workers)

    def _replaced(self, worker: _Worker) -> _Worker:
        worker.abandoned = True
        _log.error("a scoring thread died, or has not finished a batch for %g s: it is replaced", self._patience)
        self.restarts += 1
        self._queue.fail(worker.entries(), BackendFailed("the model hangs"))
        replacement = _Worker(worker.backend, worker.speed)
        self._begin(replacement)
        return replacement

    def submit(
        self,
        pairs: Sequence[EncodedPair],
        deadline: float,
        *,
        background: bool = False,
        required: int | None = None,
        caller: bytes = b"",
    ) -> Entry:
        """Queue pairs in the order of their worth: the first ``required`` must be run, all where it is None.

        The entry's future gives the logits of as many first pairs as were run in time, or a ``ScoringError``.

        Raises:
            Overloaded: what must be run could not be done in time.
        """
        with self._wake:
            self.hanging()
            self._arrivals += 1
            now = self._clock()
            wanted = len(pairs) if required is None else min(required, len(pairs))
            entry = Entry(pairs, deadline, background, self._arrivals, now, wanted, caller)
            if self._closed:
                self._queue.end(entry, _closed())
            else:
                self._queue.add(entry, self._running(now), now + self._spare(now), self.speed(now))
                self._wake.notify()
        return entry

    def speed(self, now: float) -> float:
        """Return the tokens a second of all devices."""
        return sum(worker.speed.at(now) for worker in self._workers)

    def _spare(self, now: float) -> float:
        return max(worker.speed.spare(now) for worker in self._workers)

    def _running(self, now: float) -> float:
        return sum(worker.running_tokens(now) for worker in self._workers)

    def room(self, deadline: float) -> float:
        """Return how many tokens can be run by a deadline besides what was promised to others."""
        with self._wake:
            now = self._clock()
            return self._queue.room(deadline, self._running(now), now + self._spare(now), self.speed(now))

    def give_up(self, entry: Entry) -> list[Row] | None:
        """End an entry that nobody waits for any longer; return what was done of it, if that is enough."""
        with self._wake:
            return self._queue.end(entry)

    def waiting_pairs(self) -> int:
        """Return how many pairs wait that must be run."""
        with self._wake:
            return self._queue.required_pairs()

    def stats(self) -> dict[str, float]:
        """Return counters (names end in `_total`) and gauges."""
        with self._wake:
            return {
                "tokens_run_total": self.tokens_run,
                "tokens_thrown_away_total": self._queue.thrown_away,
                "coalesced_pairs_total": self._queue.coalesced,
                "restarts_total": self.restarts,
                "tokens_per_second": self.speed(self._clock()),
            }

    def close(self) -> None:
        """Stop the threads after their current batches; entries that wait fail."""
        with self._wake:
            self._closed = True
            self._queue.fail_all(_closed())
            self._wake.notify_all()
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join()

    def _run(self, worker: _Worker) -> None:
        """Keep a device busy until the end, whatever happens."""
        while True:
            try:
                self._loop(worker)
            except BaseException as problem:
                _log.exception("a scoring thread failed; it begins anew")
                with self._wake:
                    self.restarts += 1
                    entries = worker.entries() or self._queue.entries  # where nothing ran, what waits has stopped it
                    self._queue.fail(entries, BackendFailed(f"the scoring thread failed: {problem!r}"))
                worker.running.clear()
            else:
                return

    def _loop(self, worker: _Worker) -> None:
        """Keep a device busy: while it runs one batch, the next one is started, as deep as it likes."""
        free_since = 0.0
        while not worker.abandoned:
            items = self._next(worker, wait=not worker.running)
            if items is None:
                break
            if items:
                self._start(worker, items)
            if worker.running and (not items or len(worker.running) >= worker.backend.depth):
                free_since = self._finish(worker, free_since)
        while worker.running and not worker.abandoned:  # somebody waits for it
            free_since = self._finish(worker, free_since)

    def _next(self, worker: _Worker, *, wait: bool) -> list[Item] | None:
        """Take the next batch's pairs, none where nothing is to run now; None once the scheduler is closed."""
        with self._wake:
            if wait:
                self._wake.wait_for(lambda: self._closed or self._queue.entries)
            now = self._clock()
            return (
                None
                if self._closed
                else self._queue.take(worker.backend.budget, now, worker.speed.at(now), worker.speed.spare(now))
            )

    def _start(self, worker: _Worker, items: list[Item]) -> None:
        batch = _Running(items, self._clock(), sum(len(entry.pairs[pair]) for entry, pair in items))
        worker.running.append(batch)
        try:
            batch.pending = worker.backend.start([entry.pairs[pair] for entry, pair in items])
        except Exception as problem:  # whatever a model raises must not end the thread
            batch.pending = problem

    def _finish(self, worker: _Worker, free_since: float) -> float:
        """Wait for a batch and give its rows to their entries; return when it ended. It had the device to itself
        since the one before it ended, at ``free_since``.
        """
        batch = worker.running[0]
        try:
            logits = _checked(batch.logits(), len(batch.items))
        except Exception as problem:
            failure = problem if isinstance(problem, BackendFailed) else BackendFailed(f"the model raised: {problem!r}")
            ended = self._clock()
            with self._wake:
                self._queue.fail({entry for entry, _ in batch.items}, failure)
        else:
            ended = self._clock()
            with self._wake:
                seconds = ended - max(batch.started, free_since)
                worker.speed = worker.speed.after(batch.tokens, seconds, ended)
                self.tokens_run += batch.tokens
                _share_time(batch.items, seconds)
                self._queue.deliver(batch.items, logits, ended)
        worker.running.popleft()
        return ended


def _closed() -> BackendFailed:
    return BackendFailed("the engine was closed")


def _share_time(items: Sequence[Item], seconds: float) -> None:
    """Charge each entry its tokens' share of a batch's time."""
    share = seconds / max(1, sum(len(entry.pairs[pair]) for entry, pair in items))
    for entry, pair in items:
        entry.model_seconds += share * len(entry.pairs[pair])


def _checked(logits: Logits, pairs: int) -> Logits:
    if np.ndim(logits) != 2 or len(logits) != pairs or not np.isfinite(logits).all():
        raise BackendFailed("the model's scores are not finite, or not one row for each pair")
    return logits
