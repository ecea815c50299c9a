"""One planned search: fetch the widened window, score it, apply the scores. Owns fail-open.

Whatever goes wrong on our side, the client gets Elasticsearch's own hits in Elasticsearch's own order,
and the record says why (design, law 1).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sidecar.errors import BackendFailed, Overloaded, ScoringError
from sidecar.observing.records import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside
from sidecar.rescoring.breakers import Breakers
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.order import Place, permuted
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.rewrite import apply
from sidecar.scoring.scorer import Scorer, ScoreRequest, Scores

_log = logging.getLogger("sidecar.rescorer")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The body for the client, and the record of how it came about (times of this search only)."""

    body: bytes
    record: RescoreRecord


def score_request(first: FirstStage, plan: RescorePlan, deadline: float, *, background: bool = False) -> ScoreRequest:
    """Return the pairs of the window's hits that have text."""
    hits = [hit for hit in first.hits[: plan.window.size_rescored] if hit.text.strip()]
    return ScoreRequest(
        query=plan.query_text,
        documents=[hit.text for hit in hits],
        model=plan.settings.model,
        deadline=deadline,
        passages=plan.mapping.passages,
        background=background,
        required=None if background else plan.required,
        caller=plan.caller,
    )


def unscorable(first: FirstStage, plan: RescorePlan) -> Reason | None:
    """Return the reason why these hits need no scores, or None when they do."""
    hits = first.hits[: plan.window.size_rescored]
    if not hits:
        return Reason.NO_HITS
    if not any(hit.text.strip() for hit in hits):
        return Reason.NO_DOCUMENT_TEXT
    return None


def permutation(first: FirstStage, plan: RescorePlan, scores: Sequence[float]) -> list[Place]:
    """Return the hits that were scored, and those without text between them, in their new order.

    Raises:
        ValueError: the scores are too few, too many, or not finite.
    """
    return permuted(first.hits[: _scored_hits(first, plan, len(scores))], scores, plan.settings.fusion)


def _scored_hits(first: FirstStage, plan: RescorePlan, texts: int) -> int:
    window = first.hits[: plan.window.size_rescored]
    places = [i for i, hit in enumerate(window) if hit.text.strip()]
    least = len(places) if plan.required is None else min(plan.required, len(places))
    if not least <= texts <= len(places):
        raise ValueError(f"{texts} scores for {len(places)} hits")
    return len(window) if texts == len(places) else places[texts - 1] + 1


class Pipeline:
    """Scores first stages and applies the scores. Long-lived; holds the circuit breakers, one a model."""

    def __init__(self, scorer: Scorer, clock: Clock = time.monotonic) -> None:
        self._scorer = scorer
        self._clock = clock
        self._breakers = Breakers(clock)

    def now(self) -> float:
        """Read the clock: seconds."""
        return self._clock()

    def refusal(self, planned: RescorePlan) -> Reason | None:
        """Return a reason not to ask the model at all, before Elasticsearch is asked for more hits."""
        return self._scorer.unready or self._circuit(planned)

    async def finish(self, first: FirstStage, plan: RescorePlan, started: float) -> Applied:
        """Score one first stage and give the client's body."""
        [applied] = await self.finish_all([(first, plan)], started)
        return applied

    async def finish_all(self, work: Sequence[tuple[FirstStage, RescorePlan]], started: float) -> list[Applied]:
        """Score several first stages in common batches and give the bodies, in order."""
        fetched = self._clock()
        reasons = [unscorable(first, plan) or self._circuit(plan) for first, plan in work]
        wanted = [i for i, reason in enumerate(reasons) if reason is None]
        requests = [score_request(*work[i], fetched + work[i][1].settings.timeout) for i in wanted]
        with self._breakers.attempt({request.model for request in requests}):
            scores = dict(zip(wanted, await self._score(requests), strict=True))
            results = [reason or scores[i] for i, reason in enumerate(reasons)]
            size = sum(len(first.answer) for first, _ in work)
            return [
                await aside(size, self._apply, first, plan, result, started, fetched)
                for (first, plan), result in zip(work, results, strict=True)
            ]

    def _circuit(self, plan: RescorePlan) -> Reason | None:
        """Ask again: while Elasticsearch searched, others may have made the model fail, or be probing it."""
        return None if self._breakers.allow(plan.settings.model) else Reason.CIRCUIT_OPEN

    async def _score(self, requests: list[ScoreRequest]) -> list[Scores | BaseException]:
        if len(requests) != 1:
            return await self._scorer.score_many(requests) if requests else []
        try:
            return [await self._scorer.score(requests[0])]
        except Exception as problem:  # fail open on anything: a bug of ours must not cost the answer
            return [problem]

    def _apply(
        self,
        first: FirstStage,
        plan: RescorePlan,
        scores: Scores | BaseException | Reason,
        started: float,
        fetched: float,
    ) -> Applied:
        record = self._record(first, plan, started, fetched)
        if isinstance(scores, Reason):
            return self._unscored(first, plan, replace(record, outcome="passed", reason=scores))
        if isinstance(scores, BaseException):
            return self._failed(first, plan, record, scores)
        return self._rescored(first, plan, record, scores)

    def _record(self, first: FirstStage, plan: RescorePlan, started: float, fetched: float) -> RescoreRecord:
        return RescoreRecord(
            outcome="reranked",
            mapping=plan.pattern,
            window=plan.window.size_rescored,
            hits=len(first.hits) + len(first.rest),
            missing_fields=first.missing_fields,
            hits_without_text=first.textless(plan.window.size_rescored),
            texts_not_found=first.texts_not_found,
            elasticsearch=fetched - started,
            total=self._clock() - started,
        )

    def _rescored(self, first: FirstStage, plan: RescorePlan, record: RescoreRecord, scores: Scores) -> Applied:
        record = replace(
            record,
            model=scores.model,
            pairs=scores.pairs,
            tokens=scores.tokens,
            queue=scores.timings.queue,
            tokenize=scores.timings.tokenize,
            model_time=scores.timings.model,
        )
        took = round(record.total * 1000)
        try:
            places = permutation(first, plan, scores.values)
            body = apply(first, plan, places, took_ms=took, model=scores.model)
        except ValueError as problem:
            return self._failed(first, plan, record, BackendFailed(str(problem)))
        self._breakers.succeeded(plan.settings.model)
        whole = len(places) == len(first.hits[: plan.window.size_rescored])
        return Applied(body=body, record=replace(record, scored=len(places), reason=None if whole else Reason.BUDGET))

    def _failed(self, first: FirstStage, plan: RescorePlan, record: RescoreRecord, problem: BaseException) -> Applied:
        if isinstance(problem, Overloaded):
            return self._unscored(first, plan, replace(record, outcome="passed", reason=problem.reason))
        reason = problem.reason if isinstance(problem, ScoringError) else Reason.INTERNAL_ERROR
        if reason == Reason.INTERNAL_ERROR:
            _log.error("scoring failed; the client gets Elasticsearch's own answer", exc_info=problem)
        self._breakers.failed(plan.settings.model)
        return self._unscored(first, plan, replace(record, outcome="failed", reason=reason))

    def _unscored(self, first: FirstStage, plan: RescorePlan, record: RescoreRecord) -> Applied:
        return Applied(body=unscored_body(first, plan, record), record=record)


def unscored_body(first: FirstStage, plan: RescorePlan, record: RescoreRecord | None = None) -> bytes:
    """Return Elasticsearch's own hits for the page, what was added for scoring removed."""
    took = None if record is None else round(record.total * 1000)
    return apply(first, plan, None, took_ms=took)
