"""The threads that run batches: one a device, all fed from one queue, entries dropped once they are late.

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
from sidecar.scoring.local.batching import next_batch
from sidecar.scoring.local.entries import Entry, Item, resolve, without_expired
from sidecar.scoring.local.tokenization import EncodedPair

_PATIENCE = 60.0  # more than the largest batch of the largest model takes on a slow CPU
_RESTARTS = 8  # a device that hangs again and again is left alone: each time leaves a thread behind
_log = logging.getLogger("sidecar.scoring")


@dataclass(eq=False, slots=True)
class _Running:
    """A batch on a device; ``pending`` is what it gives, or what it raised when it was started."""

    items: list[Item]
    started: float
    pending: Pending | Exception | None = None

    def logits(self) -> Logits:
        if isinstance(self.pending, Exception) or self.pending is None:
            raise self.pending or RuntimeError("not started")
        return self.pending()


@dataclass(eq=False, slots=True)
class _Worker:
    """A device, and the thread that runs batches on it; one that hung is ``abandoned``, and another has its device."""

    backend: Backend
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


class Scheduler:
    """Runs entries on backends. ``submit`` is called from the event loop, everything else is the threads' own.

    A thread that died, or has not finished a batch for ``patience`` seconds, is replaced, a few times.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._queue: list[Entry] = []
        self._wake = threading.Condition()
        self._closed = False
        self._arrivals = 0
        self.coalesced = 0
        self.restarts = 0
        self._workers = [_Worker(backend) for backend in backends]
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

    def _replaced(self, worker: _Worker) -> _Worker:
        worker.abandoned = True
        _log.error("a scoring thread died, or has not finished a batch for %g s: it is replaced", self._patience)
        self.restarts += 1
        self._fail(worker.entries(), BackendFailed("the model hangs"))
        replacement = _Worker(worker.backend)
        self._begin(replacement)
        return replacement

    def submit(self, pairs: Sequence[EncodedPair], deadline: float, *, background: bool = False) -> Entry:
        """Queue pairs; the entry's future gives `(pairs, labels)` logits, or a ``ScoringError``."""
        with self._wake:
            self.hanging()
            self._arrivals += 1
            entry = Entry(pairs, deadline, background, self._arrivals, self._clock())
            if self._closed:
                _refuse(entry)
            else:
                self._queue.append(entry)
                self._wake.notify()
        return entry

    def waiting_pairs(self) -> int:
        """Return how many pairs wait."""
        with self._wake:
            return sum(len(entry.waiting) for entry in self._queue)

    def close(self) -> None:
        """Stop the threads after their current batches; entries that wait fail."""
        with self._wake:
            self._closed = True
            for entry in self._queue:
                _refuse(entry)
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
                    entries = worker.entries() or set(self._queue)  # where nothing ran, what waits has stopped it
                    self._fail(entries, BackendFailed(f"the scoring thread failed: {problem!r}"))
                worker.running.clear()
            else:
                return

    def _loop(self, worker: _Worker) -> None:
        """Keep a device busy: while it runs one batch, the next one is started, as deep as it likes."""
        free_since = 0.0
        while not worker.abandoned:
            items = self._next(worker.backend, wait=not worker.running)
            if items is None:
                break
            if items:
                self._start(worker, items)
            if worker.running and (not items or len(worker.running) >= worker.backend.depth):
                free_since = self._finish(worker, free_since)
        while worker.running and not worker.abandoned:  # somebody waits for it
            free_since = self._finish(worker, free_since)

    def _next(self, backend: Backend, *, wait: bool) -> list[Item] | None:
        """Take the next batch's pairs, none where nothing is to run now; None once the scheduler is closed."""
        with self._wake:
            if wait:
                self._wake.wait_for(lambda: self._closed or self._queue)
            return None if self._closed else self._take(backend.budget)

    def _take(self, budget: int) -> list[Item]:
        """Drop expired entries and take the next batch's pairs out of the rest, each input to the model once."""
        self._queue = without_expired(self._queue, self._clock())
        if not self._queue:
            return []
        batch = next_batch([entry.queued() for entry in self._queue], budget)
        once: dict[bytes, Item] = {}
        for part in batch.parts:
            entry = self._queue[part.request]
            for pair in entry.take(part.start, part.end):
                if once.setdefault(entry.pairs[pair].key, (entry, pair)) != (entry, pair):
                    entry.wait_again(pair)
        return list(once.values())

    def _start(self, worker: _Worker, items: list[Item]) -> None:
        batch = _Running(items, self._clock())
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
                self._fail({entry for entry, _ in batch.items}, failure)
        else:
            ended = self._clock()
            with self._wake:
                _share_time(batch.items, ended - max(batch.started, free_since))
                self._deliver(batch.items, logits, ended)
        worker.running.popleft()
        return ended

    def _deliver(self, items: Sequence[Item], logits: Logits, ended: float) -> None:
        rows = {entry.pairs[pair].key: row for (entry, pair), row in zip(items, logits, strict=True)}
        for (entry, pair), row in zip(items, logits, strict=True):
            entry.logits[pair] = row
        for entry in self._serve_waiting(rows) | {entry for entry, _ in items}:
            if len(entry.logits) == len(entry.pairs):
                entry.finished = ended
                resolve(entry, np.stack([entry.logits[i] for i in range(len(entry.pairs))]))

    def _fail(self, entries: set[Entry], failure: BackendFailed) -> None:
        """Resolve entries whose batch failed; their other pairs are not run any more."""
        for entry in entries:
            entry.waiting.clear()
            resolve(entry, failure)

    def _serve_waiting(self, rows: dict[bytes, Logits]) -> set[Entry]:
        """Hand a batch's rows to all entries that wait for the same pairs; return those entries."""
        served_too = set()
        for entry in self._queue:
            served = [pair for pair in entry.waiting if entry.pairs[pair].key in rows]
            if served:
                entry.logits.update({pair: rows[entry.pairs[pair].key] for pair in served})
                entry.waiting = [pair for pair in entry.waiting if pair not in entry.logits]
                self.coalesced += len(served)
                served_too.add(entry)
        return served_too


def _refuse(entry: Entry) -> None:
    resolve(entry, BackendFailed("the engine was closed"))


def _share_time(items: Sequence[Item], seconds: float) -> None:
    """Charge each entry its tokens' share of a batch's time."""
    share = seconds / max(1, sum(len(entry.pairs[pair]) for entry, pair in items))
    for entry, pair in items:
        entry.model_seconds += share * len(entry.pairs[pair])


def _checked(logits: Logits, pairs: int) -> Logits:
    if len(logits) != pairs or not np.isfinite(logits).all():
        raise BackendFailed("the model's scores are not finite, or too few")
    return logits
