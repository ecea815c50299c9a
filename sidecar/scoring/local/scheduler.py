"""The threads that run batches: one a device, all fed from one queue, jobs dropped once they are late.

A device that is free takes the next batch, so no device waits while another has work queued. Identical pairs run
once: a batch holds each pair a single time, and its scores go to every job that waits for that pair when the batch
ends. Nobody depends on another's job: cancelling one leaves the others' pairs waiting.
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
from sidecar.scoring.local.jobs import Job, Member, drop_dead, settle
from sidecar.scoring.local.tokenization import EncodedPair

_PATIENCE = 60.0  # more than the largest batch of the largest model takes on a slow CPU
_RESTARTS = 8  # a device that hangs again and again is left alone: each time leaves a thread behind
_log = logging.getLogger("sidecar.scoring")


@dataclass(eq=False, slots=True)
class _Running:
    """A batch on a device; ``pending`` is what it gives, or what it raised when it was started."""

    members: list[Member]
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

    def jobs(self) -> set[Job]:
        """Return the jobs whose pairs run."""
        return {job for batch in list(self.running) for job, _ in batch.members}


class Scheduler:
    """Runs jobs on backends. ``submit`` is called from the event loop, everything else is the threads' own.

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
        self._jobs: list[Job] = []
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
        self._fail(worker.jobs(), BackendFailed("the model hangs"))
        replacement = _Worker(worker.backend)
        self._begin(replacement)
        return replacement

    def submit(self, pairs: Sequence[EncodedPair], deadline: float, *, background: bool = False) -> Job:
        """Queue pairs; the job's future gives `(pairs, labels)` logits, or a ``ScoringError``."""
        with self._wake:
            self.hanging()
            self._arrivals += 1
            job = Job(pairs, deadline, background, self._arrivals, self._clock())
            if self._closed:
                _refuse(job)
            else:
                self._jobs.append(job)
                self._wake.notify()
        return job

    def waiting_pairs(self) -> int:
        """Return how many pairs wait."""
        with self._wake:
            return sum(len(job.waiting) for job in self._jobs)

    def close(self) -> None:
        """Stop the threads after their current batches; jobs that wait fail."""
        with self._wake:
            self._closed = True
            for job in self._jobs:
                _refuse(job)
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
                    jobs = worker.jobs() or set(self._jobs)  # where nothing ran, what waits has stopped it
                    self._fail(jobs, BackendFailed(f"the scoring thread failed: {problem!r}"))
                worker.running.clear()
            else:
                return

    def _loop(self, worker: _Worker) -> None:
        """Keep a device busy: while it runs one batch, the next one is started, as deep as it likes."""
        free_since = 0.0
        while not worker.abandoned:
            members = self._next(worker.backend, wait=not worker.running)
            if members is None:
                break
            if members:
                self._start(worker, members)
            if worker.running and (not members or len(worker.running) >= worker.backend.depth):
                free_since = self._finish(worker, free_since)
        while worker.running and not worker.abandoned:  # somebody waits for it
            free_since = self._finish(worker, free_since)

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

    def _start(self, worker: _Worker, members: list[Member]) -> None:
        batch = _Running(members, self._clock())
        worker.running.append(batch)
        try:
            batch.pending = worker.backend.start([job.pairs[pair] for job, pair in members])
        except Exception as problem:  # whatever a model raises must not end the thread
            batch.pending = problem

    def _finish(self, worker: _Worker, free_since: float) -> float:
        """Wait for a batch and give its rows to their jobs; return when it ended. It had the device to itself
        since the one before it ended, at ``free_since``.
        """
        batch = worker.running[0]
        try:
            logits = _checked(batch.logits(), len(batch.members))
        except Exception as problem:
            failure = problem if isinstance(problem, BackendFailed) else BackendFailed(f"the model raised: {problem!r}")
            with self._wake:
                self._fail({job for job, _ in batch.members}, failure)
        else:
            with self._wake:
                _share_time(batch.members, self._clock() - max(batch.started, free_since))
                self._deliver(batch.members, logits, self._clock())
        worker.running.popleft()
        return self._clock()

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
        for job in jobs:
            job.waiting.clear()
            settle(job, failure)

    def _riders(self, rows: dict[bytes, Logits]) -> set[Job]:
        """Hand a batch's rows to all jobs that wait for the same pairs; return those jobs."""
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
