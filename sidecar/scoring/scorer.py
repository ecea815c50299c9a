"""The values that scoring takes and returns, and the protocol the rescorer sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sidecar.config.model import Passages
from sidecar.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """One query against its documents.

    Attributes:
        query: the query's text.
        documents: their texts, the best-ranked first.
        model: a name of ``engine.models``, or None for the default.
        deadline: in ``time.monotonic()`` seconds.
        passages: how long documents are cut.
        background: whether the work (shadow) runs only when nothing else waits.
        required: how many documents must be scored, the first ones; the others are scored as far as there is time.
            None: all must.
        caller: who asks; callers that wait share the device alike.
        reading: whether to say how much of each document the model reads.
    """

    query: str
    documents: Sequence[str]
    model: str | None = None
    deadline: float = float("inf")
    passages: Passages | None = None
    background: bool = False
    required: int | None = None
    caller: bytes = b""
    reading: bool = False

    @property
    def least(self) -> int:
        """How many documents must be scored."""
        return len(self.documents) if self.required is None else min(self.required, len(self.documents))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds spent on one request; ``model`` is its token share of the batches it was in."""

    queue: float = 0.0
    tokenize: float = 0.0
    model: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """``values[i]`` is the relevance logit of ``documents[i]``: finite, higher is better.

    There are as many as documents were scored, the first ones: what is ``required`` at least. A value is rounded to
    the backend's grid, and documents that are equal to the model have equal scores. ``read`` says of each how many of
    its characters the model read, where the request asked for that and there was time to find out.
    """

    values: Sequence[float]
    model: str
    timings: Timings = field(default_factory=Timings)
    pairs: int = 0
    tokens: int = 0
    read: tuple[int, ...] = ()


class Scorer(Protocol):
    """The seam of scoring: texts in, scores out, whoever computes them, on this machine or another.

    ``start`` it once, before or while searches come, and ``close`` it at the end.
    """

    @property
    def unready(self) -> Reason | None:
        """Why searches pass through now: the models are loading, or none is available. None once they are warm."""
        ...

    async def score(self, request: ScoreRequest) -> Scores:
        """Score one request.

        Raises:
            DeadlineExceeded: the deadline passed first.
            QueueFull: too many pairs are waiting.
            Overloaded: what is required could not be scored before the deadline; nothing was begun.
            BackendFailed: the model raised or its scores are unusable.
        """
        ...

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        """Score several requests in common batches (``_msearch``); failures are returned in place."""
        ...

    async def start(self) -> None:
        """Make ready, however long it takes. After a failure it may be called again.

        Raises:
            ModelError: a model is not available.
        """
        ...

    async def close(self) -> None:
        """Stop; what waits is given up."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Say what computes the scores of each model, for `/info` and the log."""
        ...

    def stats(self) -> Mapping[str, float]:
        """Return counters (names end in `_total`) and gauges."""
        ...
