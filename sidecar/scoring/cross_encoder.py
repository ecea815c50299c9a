"""The engine for Python programs, without Elasticsearch or an event loop of one's own.

    with CrossEncoder("cross-encoder/ms-marco-TinyBERT-L4") as encoder:
        for hit in encoder.rank("how do I read a zip file", documents, top_k=10):
            print(hit.index, hit.score, hit.document)

Calls from several threads share batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from sidecar.config import model as config
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import ScoreRequest, Scores

_SLAB = 2048  # pairs that wait at a time: enough to sort by length, few enough to hold
_UNBOUNDED = 1 << 31
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One document of a ranking. ``index`` is its place in what was given; ``score`` is the relevance logit."""

    index: int
    score: float
    document: str


class CrossEncoder:
    """Scores (query, document) pairs. Close it, or use it in a ``with`` block.

    Args:
        model: hub id, local directory, or `bundled`.
        settings: further keys of the configuration's engine section, such as ``dtype="float32"``.

    Raises:
        ModelError: the model is not available.
        ValueError: a setting is wrong.
    """

    def __init__(self, model: str = "bundled", **settings: Any) -> None:
        self._engine = Engine(config.Engine(**{"max_waiting_pairs": _UNBOUNDED, "model": model, **settings}))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cross-encoder", daemon=True)
        self._thread.start()
        try:
            self._wait(self._engine.start())
        except BaseException:
            self.close()
            raise

    def predict(self, pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        """Return the relevance logits of (query, document) pairs: `(pairs,)` fp32, higher is better.

        Raises:
            BackendFailed: the model raised or its scores are unusable.
        """
        slabs = [pairs[start : start + _SLAB] for start in range(0, len(pairs), _SLAB)]
        return np.concatenate([self._wait(self._scored(slab)) for slab in slabs] or [np.empty(0, np.float32)])

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None) -> list[Ranked]:
        """Return documents from best to worst, at most ``top_k``; equal scores keep the order given.

        Raises:
            BackendFailed: the model raised or its scores are unusable.
        """
        scores = self.predict([(query, document) for document in documents])
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [Ranked(index=int(i), score=float(scores[i]), document=documents[i]) for i in order]

    def describe(self) -> dict[str, Any]:
        """Say what runs the model, and why."""
        return self._engine.describe()

    def close(self) -> None:
        """Stop the threads, wait until they ended, and free the model. Closing twice does nothing."""
        if self._loop.is_closed():
            return
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _scored(self, pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        """Score pairs, each query once with all its documents."""
        places: dict[str, list[int]] = {}
        for i, (query, _) in enumerate(pairs):
            places.setdefault(query, []).append(i)
        values = np.empty(len(pairs), np.float32)
        requests = [ScoreRequest(query=query, documents=[pairs[i][1] for i in at]) for query, at in places.items()]
        for at, scores in zip(places.values(), await self._engine.score_many(requests), strict=True):
            values[at] = _or_raise(scores).values
        return values

    async def _end(self) -> None:
        """Close the engine, and give up what other threads still wait for."""
        await self._engine.close()
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C too: what still waits is not worth scoring
            future.cancel()
            raise


def _or_raise(scores: Scores | BaseException) -> Scores:
    if isinstance(scores, BaseException):
        raise scores
    return scores
