"""The scoring engine: tokenizes beside the event loop, batches across requests, gives one score a document."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sidecar.cache import ByteCache
from sidecar.config import model as config
from sidecar.errors import DeadlineExceeded, ModelStalled, QueueFull
from sidecar.reasons import Reason
from sidecar.scoring.local.cpu import cpu_quota
from sidecar.scoring.local.entries import Entry
from sidecar.scoring.local.loaded import Encoded, Loaded, Scalars, load
from sidecar.scoring.scorer import ScoreRequest, Scores, Timings

_DEFAULT = ""
Result = TypeVar("Result")
_CHARACTERS = 8  # of a token: words are shorter, and to tokenize too much costs less than to score too little
_CLOSE_SECONDS = 10.0  # a batch takes less, unless the model hangs
_log = logging.getLogger("sidecar.scoring")


class Engine:
    """Implements ``Scorer``. Build it, ``await start()``, and ``await close()`` at the end."""

    def __init__(
        self,
        settings: config.Engine,
        clock: Callable[[], float] = time.monotonic,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._close_seconds = close_seconds
        self._models: dict[str, Loaded] = {}
        self._unready: Reason | None = Reason.MODEL_LOADING
        self._tokenizing = ThreadPoolExecutor(_threads(), thread_name_prefix="tokenizing")
        self._encoding = 0
        self._counts = {"requests_total": 0.0, "pairs_total": 0.0, "refused_total": 0.0}

    @property
    def unready(self) -> Reason | None:
        """Why searches pass through now, None once all models are loaded and warm."""
        return self._unready

    async def start(self) -> None:
        """Load and warm up all configured models, beside the event loop.

        Raises:
            ModelError: a model is not available; those that are stay loaded for the next try.
        """
        loop = asyncio.get_running_loop()
        wanted = {_DEFAULT: _default(self._settings), **self._settings.models}
        try:
            for name in [name for name in wanted if name not in self._models]:
                work = loop.run_in_executor(self._tokenizing, load, wanted[name], self._settings)
                self._models[name] = await work
        except Exception:
            self._unready = Reason.MODEL_UNAVAILABLE
            raise
        self._unready = None

    async def close(self) -> None:
        """Stop the threads and wait until they ended, but not for ever for one that hangs; what waits fails."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def tell() -> None:
            if not ended.done():
                ended.set_result(None)

        def stop() -> None:
            self._stop()
            with contextlib.suppress(RuntimeError):  # the loop did not wait so long, and is closed
                loop.call_soon_threadsafe(tell)

        # Not one of the loop's own threads: closing the loop would have to wait for it, however long it takes.
        stopping = threading.Thread(target=stop, name="closing", daemon=True)
        stopping.start()
        try:
            await asyncio.wait_for(ended, self._close_seconds)
        except TimeoutError:
            _log.warning("a scoring thread still runs %g s after it was told to stop: left behind", self._close_seconds)
        else:
            stopping.join()

    def _stop(self) -> None:
        self._tokenizing.shutdown(wait=False, cancel_futures=True)
        for loaded in self._models.values():
            loaded.scheduler.close()
        self._tokenizing.shutdown(wait=True)

    def describe(self) -> dict[str, Any]:
        """Say what runs each model, and why."""
        return {loaded.name: loaded.describe() for loaded in self._models.values()}

    def stats(self) -> Mapping[str, float]:
        """Return counters (names end in `_total`) and gauges."""
        models = self._models.values()
        waiting = self._encoding + sum(loaded.scheduler.waiting_pairs() for loaded in models)
        gauges = {
            "ready": float(self._unready is None),
            "waiting_pairs": waiting,
            "hanging": sum(loaded.scheduler.hanging() for loaded in models),
        }
        scheduled = _added([loaded.scheduler.stats() for loaded in models])
        memory = {"out_of_memory_total": sum(loaded.stats()["out_of_memory_total"] for loaded in models)}
        documents = _cache_stats("document_cache", [loaded.documents for loaded in models])
        scores = _cache_stats("score_cache", [loaded.scores for loaded in models])
        return {**self._counts, **gauges, **scheduled, **memory, **documents, **scores}

    async def score(self, request: ScoreRequest) -> Scores:
        """Score one request: what is required of it, and as many documents more as there is time for.

        Raises:
            DeadlineExceeded: the deadline passed first.
            QueueFull: too many pairs are waiting.
            Overloaded: what is required could not be scored before the deadline; nothing was begun.
            BackendFailed: the model raised or its scores are unusable.
        """
        loaded = self._models[request.model or _DEFAULT]
        self._admit(loaded, request)
        started = self._clock()
        encoded, known = await self._encoded(loaded, request)
        tokenized = self._clock()
        if not encoded.pairs:
            return Scores(values=[], model=loaded.name)
        values, timings = await self._values(loaded, encoded, known, request)
        scored = encoded.first(len(values))
        return Scores(
            values=[float(value) for value in scored.aggregate(values[: len(scored.pairs)])],
            model=loaded.name,
            timings=replace(timings, tokenize=tokenized - started),
            pairs=len(scored.pairs),
            tokens=int(np.sum([len(pair) for pair in scored.pairs])),
            read=await self._read(loaded, request) if request.reading else (),
        )

    async def _read(self, loaded: Loaded, request: ScoreRequest) -> tuple[int, ...]:
        """Return how many characters of each document the model reads; none where half the time left is not enough."""
        now = self._clock()
        work = asyncio.get_running_loop().run_in_executor(self._tokenizing, loaded.read, request)
        try:
            found = await self._in_time(work, now + (request.deadline - now) / 2)
        except DeadlineExceeded:
            return ()
        return tuple(found)

    async def _encoded(self, loaded: Loaded, request: ScoreRequest) -> tuple[Encoded, dict[int, float]]:
        """Have tokenized what there may be time to score, and all of it where that has cost nothing: the scores
        that are known already come with it.
        """
        count = affordable(request, loaded.scheduler.room(request.deadline))
        encoded = await self._tokenized(loaded, replace(request, documents=request.documents[:count]))
        known = loaded.known(encoded.pairs)
        if count < len(request.documents) and len(known) == len(encoded.pairs):
            encoded = await self._tokenized(loaded, request)
            known = loaded.known(encoded.pairs)
        return encoded, known

    async def _tokenized(self, loaded: Loaded, request: ScoreRequest) -> Encoded:
        """Have a request tokenized. Each step queues behind others' steps: long texts hold nobody up."""
        loop = asyncio.get_running_loop()
        work = loaded.encoding(request)
        encoded = None
        self._encoding += request.least
        try:
            while encoded is None:
                step = loop.run_in_executor(self._tokenizing, next, work)
                encoded = await self._in_time(step, request.deadline)
        finally:
            self._encoding -= request.least
        return encoded

    async def _values(
        self, loaded: Loaded, encoded: Encoded, known: Mapping[int, float], request: ScoreRequest
    ) -> tuple[npt.NDArray[np.float32], Timings]:
        """Return the relevance of the first pairs, from the score cache or the model, and the time the model took."""
        pairs = encoded.pairs
        fresh = {pair.key: pair for i, pair in enumerate(pairs) if i not in known}  # equal pairs run once: in two
        if not fresh:  # batches they could differ
            return np.array([known[i] for i in range(len(pairs))], dtype=np.float32), Timings()
        least = encoded.pairs_of(request.least)
        entry = loaded.scheduler.submit(
            list(fresh.values()),
            request.deadline,
            background=request.background,
            required=len({pair.key for i, pair in enumerate(pairs[:least]) if i not in known}),
            caller=request.caller,
        )
        scores = await self._run(loaded, entry, request.deadline)
        by_key = dict(zip(fresh, scores, strict=False))
        values = [known.get(i, by_key.get(pair.key)) for i, pair in enumerate(pairs)]
        done = values.index(None) if None in values else len(values)
        return np.array(values[:done], dtype=np.float32), Timings(queue=entry.queue_seconds, model=entry.model_seconds)

    async def _run(self, loaded: Loaded, entry: Entry, deadline: float) -> Scalars:
        """Return the relevance of an entry's first pairs: all, or as many as were run in time."""
        try:
            rows = await self._in_time(entry.future, deadline)
        except DeadlineExceeded as late:
            rows = loaded.scheduler.give_up(entry)
            if rows is None:
                raise (ModelStalled(*late.args) if loaded.scheduler.stalled() else late) from None
        finally:
            loaded.scheduler.give_up(entry)
        if not rows:
            return np.empty(0, np.float32)
        scores = loaded.relevance(np.stack(rows))
        loaded.remember(entry.pairs[: len(rows)], scores)
        return scores

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        """Score several requests in common batches; failures are returned in place."""
        return await asyncio.gather(*map(self.score, requests), return_exceptions=True)

    def _admit(self, loaded: Loaded, request: ScoreRequest) -> None:
        waiting = self._encoding + loaded.scheduler.waiting_pairs()
        if waiting + request.least > self._settings.max_waiting_pairs:
            self._counts["refused_total"] += 1
            raise QueueFull("too many pairs are waiting (engine.max_waiting_pairs)")
        self._counts["requests_total"] += 1
        self._counts["pairs_total"] += len(request.documents)

    async def _in_time(self, future: asyncio.Future[Result], deadline: float) -> Result:
        """Wait for an entry, but not past its deadline; giving up drops its pairs that still wait."""
        if deadline == float("inf"):
            return await future
        try:
            return await asyncio.wait_for(future, max(0.0, deadline - self._clock()))
        except TimeoutError as problem:
            raise DeadlineExceeded("the time allowed for scoring ran out") from problem


def affordable(request: ScoreRequest, room: float) -> int:
    """Return how many documents are worth tokenizing where ``room`` tokens can be run: all that must be, at least."""
    if request.required is None:
        return len(request.documents)
    sizes = itertools.accumulate(len(text) / _CHARACTERS for text in request.documents)
    return max(request.least, sum(size <= room for size in sizes))


def _threads() -> int:
    """Return how many tokenize: more than one, so that a slow text holds up its own search only."""
    return min(4, max(2, cpu_quota()))


def _added(stats: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in stats) for name in (stats[0] if stats else ())}


def _cache_stats(name: str, caches: Sequence[ByteCache[Any]]) -> dict[str, float]:
    return {
        f"{name}_hits_total": sum(cache.hits for cache in caches),
        f"{name}_misses_total": sum(cache.misses for cache in caches),
        f"{name}_bytes": sum(cache.size for cache in caches),
    }


def _default(settings: config.Engine) -> config.Model:
    return config.Model(
        model=settings.model, revision=settings.revision, head=settings.head, max_length=settings.max_length
    )
