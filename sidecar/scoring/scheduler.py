"""The loop that runs batches: one thread a device, fed from the event loop, jobs dropped once they are late.

Identical pairs run once: a batch holds each pair a single time, and its scores go to every job that waits for
that pair when the batch ends. Nobody depends on another's job: cancelling one leaves the others' pairs waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sidecar.errors import BackendFailed, DeadlineExceeded
from sidecar.scoring.backend import Backend
from sidecar.scoring.batching import Waiting, next_batch
from sidecar.scoring.tokenization import EncodedPair

Logits = npt.NDArray[np.float32]


@dataclass(eq=False)
class Job:
    """One request's pairs on their way through the device. Fields below ``future`` belong to the thread."""

    pairs: Sequence[EncodedPair]
    deadline: float
    background: bool
    arrival: int
    future: asyncio.Future[Logits]
    submitted: float
    waiting: list[int] = field(default_factory=list)
    logits: dict[int, Logits] = field(default_factory=dict)
    finished: float | None = None
    model_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.waiting = list(range(len(self.pairs)))

    @property
    def queue_seconds(self) -> float:
        """Seconds from submission to the last batch's end, less the model's share: waiting for others' pairs."""
        return 0.0 if self.finished is None else max(0.0, self.finished - self.submitted - self.model_seconds)


class Scheduler:
    """Runs jobs on a backend. ``submit`` is called from the event loop, everything else is its own thread's."""

    def __init__(
        self, backend: Backend, budget: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backend = backend
        self._budget = budget
        self._clock = clock
        self._jobs: list[Job] = []
        self._wake = threading.Condition()
        self._closed = False
        self._arrivals = 0
        self.coalesced = 0
        self._thread = threading.Thread(target=self._loop, name="scoring", daemon=True)
        self._thread.start()

    def submit(self, pairs: Sequence[EncodedPair], deadline: float, *, background: bool = False) -> Job:
        """Queue pairs; the job's future gives `(pairs, labels)` logits, or a ``ScoringError``."""
        future: asyncio.Future[Logits] = asyncio.get_running_loop().create_future()
        with self._wake:
            self._arrivals += 1
            job = Job(pairs, deadline, background, self._arrivals, future, self._clock())
            self._jobs.append(job)
            self._wake.notify()
        return job

    def waiting_pairs(self) -> int:
        """Give how many pairs wait."""
        with self._wake:
            return sum(len(job.waiting) for job in self._jobs)

    def close(self) -> None:
        """Stop the thread after its current batch."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._jobs)
                if self._closed:
                    return
                members = self._take()
            if members:
                self._run(members)

    def _take(self) -> list[tuple[Job, int]]:
        """Drop dead jobs and take the next batch's pairs out of the rest."""
        now = self._clock()
        for job in self._jobs:
            if job.deadline <= now:
                _settle(job, DeadlineExceeded("the time allowed for scoring ran out"))
        self._jobs = [job for job in self._jobs if job.deadline > now and not job.future.done() and job.waiting]
        waiting = [
            Waiting(job.deadline, job.arrival, tuple(len(job.pairs[i]) for i in job.waiting), job.background)
            for job in self._jobs
        ]
        batch = next_batch(waiting, self._budget or self._backend.token_budget())
        members = [(self._jobs[request], self._jobs[request].waiting[pair]) for request, pair in batch.members]
        once: dict[bytes, tuple[Job, int]] = {}
        for job, pair in members:
            once.setdefault(job.pairs[pair].key, (job, pair))
        for job, pair in once.values():
            job.waiting.remove(pair)
        return list(once.values())

    def _run(self, members: list[tuple[Job, int]]) -> None:
        started = self._clock()
        try:
            logits = _checked(self._backend.logits([job.pairs[pair] for job, pair in members]), len(members))
        except Exception as problem:  # whatever a model raises must not end the thread
            failure = problem if isinstance(problem, BackendFailed) else BackendFailed(f"the model raised: {problem!r}")
            for job in {job for job, _ in members}:
                self._fail(job, failure)
            return
        ended = self._clock()
        share = (ended - started) / max(1, sum(len(job.pairs[pair]) for job, pair in members))
        for (job, pair), row in zip(members, logits, strict=True):
            job.logits[pair] = row
            job.model_seconds += share * len(job.pairs[pair])
        riders = self._riders({job.pairs[pair].key: row for (job, pair), row in zip(members, logits, strict=True)})
        for job in riders | {job for job, _ in members}:
            if len(job.logits) == len(job.pairs):
                job.finished = ended
                _settle(job, np.stack([job.logits[i] for i in range(len(job.pairs))]))

    def _fail(self, job: Job, failure: BackendFailed) -> None:
        """Settle a job whose batch failed; its other pairs are not run any more."""
        with self._wake:
            job.waiting.clear()
        _settle(job, failure)

    def _riders(self, rows: dict[bytes, Logits]) -> set[Job]:
        """Give a batch's rows to all jobs that wait for the same pairs; give those jobs."""
        riders = set()
        with self._wake:
            for job in self._jobs:
                served = [pair for pair in job.waiting if job.pairs[pair].key in rows]
                if not served:
                    continue
                job.logits.update({pair: rows[job.pairs[pair].key] for pair in served})
                job.waiting = [pair for pair in job.waiting if pair not in job.logits]
                self.coalesced += len(served)
                riders.add(job)
        return riders


def _checked(logits: Logits, pairs: int) -> Logits:
    if len(logits) != pairs or not np.isfinite(logits).all():
        raise BackendFailed("the model's scores are not finite, or too few")
    return logits


def _settle(job: Job, outcome: Logits | Exception) -> None:
    """Give a job's outcome to its event loop, unless nobody waits for it any more."""

    def tell() -> None:
        if job.future.done():
            return
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)

    loop = job.future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)
