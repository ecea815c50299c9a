"""One frozen record for each search, told to one observer. Metrics, logs and headers come from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sidecar.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many searches of an `_msearch` had which outcome."""

    reranked: int
    passed: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreRecord:
    """What became of one search. Times are seconds."""

    outcome: Literal["reranked", "passed", "failed"]
    reason: Reason | None = None
    endpoint: str = "search"
    mapping: str | None = None
    model: str | None = None
    window: int = 0
    hits: int = 0
    pairs: int = 0
    tokens: int = 0
    missing_fields: int = 0
    elasticsearch: float = 0.0
    queue: float = 0.0
    tokenize: float = 0.0
    model_time: float = 0.0
    total: float = 0.0
    opaque_id: str | None = None
    counts: Counts | None = None

    def header(self) -> str:
        """Give the value of the `X-Rescore` answer header; for several searches it counts their outcomes."""
        if self.counts is not None:
            counts = self.counts
            return f"{self.outcome}; reranked={counts.reranked}; passed={counts.passed}; failed={counts.failed}"
        if self.outcome == "reranked":
            return f"reranked; window={self.window}; model={self.model}"
        return f"{self.outcome}; reason={self.reason}"

    def server_timing(self) -> str:
        """Give the value of `Server-Timing` (W3C Server Timing): milliseconds per stage."""
        stages = {"es": self.elasticsearch, "queue": self.queue, "tokenize": self.tokenize, "model": self.model_time}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in stages.items())


def summary(parts: Sequence[RescoreRecord]) -> RescoreRecord:
    """Give the record of several searches answered as one.

    They run together, so stages last as long as those of the slowest; the model's time is that of all, and what
    is left of the slowest search's wait for it is the queue.
    """
    model = sum(part.model_time for part in parts)
    scored = max((part.queue + part.model_time for part in parts), default=0.0)
    outcomes = [part.outcome for part in parts]
    counts = Counts(
        reranked=outcomes.count("reranked"), passed=outcomes.count("passed"), failed=outcomes.count("failed")
    )
    return RescoreRecord(
        outcome="failed" if counts.failed else "reranked" if counts.reranked else "passed",
        counts=counts,
        elasticsearch=max((part.elasticsearch for part in parts), default=0.0),
        queue=max(0.0, scored - model),
        tokenize=max((part.tokenize for part in parts), default=0.0),
        model_time=model,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRecord:
    """How the rescored order would have differed, for `mode: shadow`."""

    mapping: str
    kendall_tau: float
    overlap_at_10: float
    seconds: float


class RescoreObserver(Protocol):
    """Gets each record once."""

    def search(self, record: RescoreRecord) -> None:
        """Take one search's record."""
        ...

    def shadow(self, record: ShadowRecord) -> None:
        """Take one shadow comparison."""
        ...
