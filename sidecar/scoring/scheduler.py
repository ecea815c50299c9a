"""The threads that run batches: one a device, all fed from one queue, jobs dropped once they are late.

A device that is free takes the next batch, so no device waits while another has work queued. Identical pairs run
once: a batch holds each pair a single time, and its scores go to every job that waits for that pair when the batch
ends. Nobody depends on another's job: cancelling one leaves the others' pairs waiting.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.errors import BackendFailed
from sidecar.scoring.backend import Backend, Logits, Pending
from sidecar.scoring.batching import next_batch
from sidecar.scoring.jobs import Job, Member, drop_dead, settle
from sidecar.scoring.tokenization import EncodedPair


@dataclass(frozen=True, slots=True)
class _Running:
    """A batch on a device; ``pending`` is what it gives, or what it raised when it was started."""

    members: list[Member]
    pending: Pending | Exception
    started: float

    def logits(self) -> Logits:
        if isinstance(self.pending, Exception):
            raise self.pending
        return self.pending()


class Scheduler:
    """Runs jobs on backends. ``submit`` is called from the event loop, everything else is the threads' own."""

    def __init__(self, backends: Sequence[Backend], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: list[Job] = []
        self._wake = threading.Condition()
        self._closed = False
        self._arrivals = 0
        self.coalesced = 0
        self._threads = [
            threading.Thread(target=self._loop, args=(backend,), name=f"scoring-{number}", daemon=True)
            for number, backend in enumerate(backends)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, pairs: Sequence[EncodedPair], deadline: float, *, background: bool = False) -> Job:
        """Queue pairs; the job's future gives `(pairs, labels)` logits, or a ``ScoringError``."""
        with self._wake:
            self._arrivals += 1
            job = Job(pairs, deadline, background, self._arrivals, self._clock())
            if self._closed:
                _refuse(job)
            else:
                self._jobs.append(job)
                self._wake.notify()
        return job

    def waiting_pairs(self) -> int:
        """Give how many pairs wait."""
        with self._wake:
            return sum(len(job.waiting) for job in self._jobs)

    def close(self) -> None:
        """Stop the threads after their current batches; jobs that wait fail."""
        with self._wake:
            self._closed = True
            for job in self._jobs:
                _refuse(job)
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    def _loop(self, backend: Backend) -> None:
        """Keep a device busy: while it runs one batch, the next one is started, as deep as it likes."""
        running: deque[_Running] = deque()
        free_since = 0.0
        while True:
            members = self._next(backend, wait=not running)
            if members is None:
                break
            if members:
                running.append(self._start(backend, members))
            if running and (not members or len(running) >= backend.depth):
                free_since = self._finish(running.popleft(), free_since)
        for batch in running:  # somebody waits for it
            free_since = self._finish(batch, free_since)

    def _next(self, backend: Backend, *, wait: bool) -> list[Member] | None:
        """Take the next batch's pairs, none where nothing is to run now; None once the scheduler is closed."""
        with self._wake:
            if wait:
                self._wake.wait_for(lambda: self._closed or self._jobs)
            return None if self._closed else self._take(backend.budget)

    def _take(self, budget: int) -> list[Member]:
        """Drop dead jobs and take the next batch's pairs out of the rest, each input to the model once."""
        self._jobs = drop_dead(self._jobs, self._clock())
        batch = next_batch([job.queued() for job in self._jobs], budget)
        once: dict[bytes, Member] = {}
        for part in batch.parts:
            job = self._jobs[part.request]
            for pair in job.take(part.start, part.end):
                if once.setdefault(job.pairs[pair].key, (job, pair)) != (job, pair):
                    job.wait_again(pair)
        return list(once.values())

    def _start(self, backend: Backend, members: list[Member]) -> _Running:
        started = self._clock()
        try:
            pending: Pending | Exception = backend.start([job.pairs[pair] for job, pair in members])
        except Exception as problem:  # whatever a model raises must not end the thread
            pending = problem
        return _Running(members, pending, started)

    def _finish(self, batch: _Running, free_since: float) -> float:
        """Wait for a batch and give its rows to their jobs; give when it ended. It had the device to itself
        since the one before it ended, at ``free_since``.
        """
        try:
            logits = _checked(batch.logits(), len(batch.members))
        except Exception as problem:
            failure = problem if isinstance(problem, BackendFailed) else BackendFailed(f"the model raised: {problem!r}")
            self._fail({job for job, _ in batch.members}, failure)
            return self._clock()
        ended = self._clock()
        with self._wake:
            _share_time(batch.members, ended - max(batch.started, free_since))
            self._deliver(batch.members, logits, ended)
        return ended

    def _deliver(self, members: Sequence[Member], logits: Logits, ended: float) -> None:
        rows = {job.pairs[pair].key: row for (job, pair), row in zip(members, logits, strict=True)}
        for (job, pair), row in zip(members, logits, strict=True):
            job.logits[pair] = row
        for job in self._riders(rows) | {job for job, _ in members}:
            if len(job.logits) == len(job.pairs):
                job.finished = ended
                settle(job, np.stack([job.logits[i] for i in range(len(job.pairs))]))

    def _fail(self, jobs: set[Job], failure: BackendFailed) -> None:
        """Settle jobs whose batch failed; their other pairs are not run any more."""
        with self._wake:
            for job in jobs:
                job.waiting.clear()
                settle(job, failure)

    def _riders(self, rows: dict[bytes, Logits]) -> set[Job]:
        """Give a batch's rows to all jobs that wait for the same pairs; give those jobs."""
        riders = set()
        for job in self._jobs:
            served = [pair for pair in job.waiting if job.pairs[pair].key in rows]
            if served:
                job.logits.update({pair: rows[job.pairs[pair].key] for pair in served})
                job.waiting = [pair for pair in job.waiting if pair not in job.logits]
                self.coalesced += len(served)
                riders.add(job)
        return riders


def _refuse(job: Job) -> None:
    settle(job, BackendFailed("the engine was closed"))


def _share_time(members: Sequence[Member], seconds: float) -> None:
    """Charge each job its tokens' share of a batch's time."""
    share = seconds / max(1, sum(len(job.pairs[pair]) for job, pair in members))
    for job, pair in members:
        job.model_seconds += share * len(job.pairs[pair])


def _checked(logits: Logits, pairs: int) -> Logits:
    if len(logits) != pairs or not np.isfinite(logits).all():
        raise BackendFailed("the model's scores are not finite, or too few")
    return logits
