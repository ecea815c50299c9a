"""The scoring engine: tokenizes beside the event loop, batches across requests, gives one score a document."""

from __future__ import annotations

import asyncio
import contextlib
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
from sidecar.errors import DeadlineExceeded, QueueFull
from sidecar.scoring.local.cpu import cpu_quota
from sidecar.scoring.local.loaded import Encoded, Loaded, load
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.scorer import ScoreRequest, Scores, Timings

_DEFAULT = ""
Result = TypeVar("Result")
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
        self._tokenizing = ThreadPoolExecutor(_threads(), thread_name_prefix="tokenizing")
        self._encoding = 0
        self._counts = {"requests_total": 0.0, "pairs_total": 0.0, "refused_total": 0.0}

    @property
    def ready(self) -> bool:
        """Whether all models are loaded and warm."""
        return bool(self._models)

    async def start(self) -> None:
        """Load and warm up all configured models, beside the event loop.

        Raises:
            ModelError: a model is not available.
        """
        loop = asyncio.get_running_loop()
        wanted = {_DEFAULT: _default(self._settings), **self._settings.models}
        loaded = {
            name: await loop.run_in_executor(self._tokenizing, load, model, self._settings)
            for name, model in wanted.items()
        }
        self._models = loaded

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
        gauges = {"waiting_pairs": waiting, "hanging": sum(loaded.scheduler.hanging() for loaded in models)}
        restarts = {"restarts_total": sum(loaded.scheduler.restarts for loaded in models)}
        coalesced = {"coalesced_pairs_total": sum(loaded.scheduler.coalesced for loaded in models)}
        memory = {"out_of_memory_total": sum(loaded.stats()["out_of_memory_total"] for loaded in models)}
        documents = _cache_stats("document_cache", [loaded.documents for loaded in models])
        scores = _cache_stats("score_cache", [loaded.scores for loaded in models])
        return {**self._counts, **gauges, **restarts, **coalesced, **memory, **documents, **scores}

    async def score(self, request: ScoreRequest) -> Scores:
        """Score one request.

        Raises:
            DeadlineExceeded: the deadline passed first.
            QueueFull: too many pairs are waiting.
            BackendFailed: the model raised or its scores are unusable.
        """
        loaded = self._models[request.model or _DEFAULT]
        self._admit(loaded, request)
        started = self._clock()
        encoded = await self._encoded(loaded, request)
        tokenized = self._clock()
        if not encoded.pairs:
            return Scores(values=[], model=loaded.name)
        values, timings = await self._values(loaded, encoded.pairs, request)
        return Scores(
            values=[float(value) for value in encoded.aggregate(values)],
            model=loaded.name,
            timings=replace(timings, tokenize=tokenized - started),
            pairs=len(encoded.pairs),
            tokens=int(np.sum([len(pair) for pair in encoded.pairs])),
        )

    async def _encoded(self, loaded: Loaded, request: ScoreRequest) -> Encoded:
        """Have a request tokenized. Each step queues behind others' steps: long texts hold nobody up."""
        loop = asyncio.get_running_loop()
        work = loaded.encoding(request)
        encoded = None
        self._encoding += len(request.documents)
        try:
            while encoded is None:
                step = loop.run_in_executor(self._tokenizing, next, work)
                encoded = await self._in_time(step, request.deadline)
        finally:
            self._encoding -= len(request.documents)
        return encoded

    async def _values(
        self, loaded: Loaded, pairs: Sequence[EncodedPair], request: ScoreRequest
    ) -> tuple[npt.NDArray[np.float32], Timings]:
        """Return each pair's relevance, from the score cache or the model, and the time the model took."""
        known = loaded.known(pairs)
        values = np.array([known.get(i, np.nan) for i in range(len(pairs))], dtype=np.float32)
        fresh = [i for i in range(len(pairs)) if i not in known]
        if not fresh:
            return values, Timings()
        asked = {pairs[i].key: pairs[i] for i in fresh}  # equal pairs run once: in two batches they could differ
        entry = loaded.scheduler.submit(list(asked.values()), request.deadline, background=request.background)
        scores = loaded.relevance(await self._in_time(entry.future, request.deadline))
        places = {key: place for place, key in enumerate(asked)}
        values[fresh] = scores[[places[pairs[i].key] for i in fresh]]
        loaded.remember(list(asked.values()), scores)
        return values, Timings(queue=entry.queue_seconds, model=entry.model_seconds)

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        """Score several requests in common batches; failures are returned in place."""
        return await asyncio.gather(*map(self.score, requests), return_exceptions=True)

    def _admit(self, loaded: Loaded, request: ScoreRequest) -> None:
        waiting = self._encoding + loaded.scheduler.waiting_pairs()
        if waiting + len(request.documents) > self._settings.max_waiting_pairs:
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


def _threads() -> int:
    """Return how many tokenize: more than one, so that a slow text holds up its own search only."""
    return min(4, max(2, cpu_quota()))


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
