"""A stand-in scorer, for what no real model can be made to do: fail, hang, give unusable scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar.reasons import Reason
from sidecar.scoring.scorer import ScoreRequest, Scores

Give = Callable[[ScoreRequest], Sequence[float]]


class GivenScorer:
    """Gives the scores that the test chose, or raises what its function raises."""

    def __init__(self, give: Give, *, unready: Reason | None = None) -> None:
        self.give = give
        self.unready = unready
        self.asked = 0
        self.models: list[str | None] = []
        self.calls: list[str] = []

    async def score(self, request: ScoreRequest) -> Scores:
        """Score or raise."""
        self.asked += 1
        self.models.append(request.model)
        return Scores(values=self.give(request), model="given")

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        """Score or raise each."""
        found: list[Scores | BaseException] = []
        for request in requests:
            try:
                found.append(await self.score(request))
            except Exception as problem:
                found.append(problem)
        return found

    async def start(self) -> None:
        """Note the call."""
        self.calls.append("start")

    async def close(self) -> None:
        """Note the call."""
        self.calls.append("close")

    def describe(self) -> Mapping[str, Any]:
        """Describe nothing in particular."""
        return {"given": {}}

    def stats(self) -> Mapping[str, float]:
        """Count."""
        return {"asked_total": self.asked}


def falling(request: ScoreRequest) -> list[float]:
    """Return the last document the best score."""
    return [float(i) for i in range(len(request.documents))]


def raising(problem: Exception) -> Give:
    """Return a function that raises."""

    def give(request: ScoreRequest) -> list[float]:
        raise problem

    return give
