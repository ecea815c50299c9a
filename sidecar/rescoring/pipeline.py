"""One planned search: fetch the widened window, score it, apply the scores. Owns fail-open.

Whatever goes wrong on our side, the client gets Elasticsearch's own hits in Elasticsearch's own order,
and the record says why (design, law 1).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.errors import (
    BackendFailed,
    DeadlineExceeded,
    ModelStalled,
    Overloaded,
    QueueFull,
    ScorerDown,
    ScoringError,
)
from sidecar.observing.records import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring.aside import aside, at_last
from sidecar.rescoring.breakers import Breakers, Circuit
from sidecar.rescoring.deadline import Clock, Deadline
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.lists import Lists, Settled
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.order import Place
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.remembered import Order, order_of
from sidecar.rescoring.rewrite import apply
from sidecar.rescoring.scored import permutation, read_of, score_request, unscorable
from sidecar.scoring.scorer import Scorer, ScoreRequest, Scores

_log = logging.getLogger("sidecar.rescorer")
_SPARE = 0.05
"""Seconds after the deadline in which the scorer may say by itself that it is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The body for the client, and the record of how it came about (times of this search only)."""

    body: bytes
    record: RescoreRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """When a search was begun, and when Elasticsearch's first answer began: what follows has to meet a deadline."""

    started: float
    answered: float


class Pipeline:
    """Scores first stages and applies the scores. Long-lived; holds the circuit breakers."""

    def __init__(self, scorer: Scorer, lists: Lists, clock: Clock = time.monotonic) -> None:
        self._scorer = scorer
        self._lists = lists
        self._clock = clock
        self.breakers = Breakers(clock)

    def now(self) -> float:
        """Read the clock: seconds."""
        return self._clock()

    def deadline(self, plan: RescorePlan, course: Course) -> Deadline:
        """Return when a search is to be answered, with scores or without."""
        return Deadline(course.answered + plan.settings.timeout, self._clock)

    def refusal(self, planned: RescorePlan) -> Reason | None:
        """Return a reason not to ask the model at all, before Elasticsearch is asked for more hits."""
        return self._scorer.unready or self._circuit(planned)

    async def finish(self, first: FirstStage, plan: RescorePlan, course: Course) -> Applied:
        """Score one first stage and give the client's body."""
        [applied] = await self.finish_all([(first, plan)], course)
        return applied

    async def finish_all(self, work: Sequence[tuple[FirstStage, RescorePlan]], course: Course) -> list[Applied]:
        """Score several first stages in common batches and give the bodies, in order."""
        fetched = self._clock()
        keys = {plan.key for _, plan in work if plan.recalled is None}
        seconds = min((self.deadline(plan, course).left for _, plan in work), default=0.0)
        await self._lists.others_done(keys, seconds)
        with self._lists.scoring(keys):
            return await self._finish_all(work, course, fetched)

    async def _finish_all(
        self, work: Sequence[tuple[FirstStage, RescorePlan]], course: Course, fetched: float
    ) -> list[Applied]:
        decided = [self._known(plan) or self._unscored_for(first, plan) for first, plan in work]
        wanted = [i for i, known in enumerate(decided) if known is None]
        requests = [score_request(*work[i], self.deadline(work[i][1], course).ends) for i in wanted]
        with self.breakers.attempt({circuit_of(work[i][1]) for i in wanted}):
            scores = dict(zip(wanted, await self._score(requests), strict=True))
            results = [known or scores[i] for i, known in enumerate(decided)]
            return [
                await self._applied(first, plan, result, course, fetched)
                for (first, plan), result in zip(work, results, strict=True)
            ]

    def _known(self, plan: RescorePlan) -> Order | Reason | None:
        """Return what another page of the list has settled, maybe while Elasticsearch searched."""
        known = None if plan.recalled is not None else self._lists.find(plan.key)
        if known is None:
            return plan.recalled
        return known.order or (None if known.reason is None else Reason.REMEMBERED)

    def not_rescored(self, plan: RescorePlan, reason: Reason) -> Reason:
        """Have the list's other pages stay as they are, too; return the reason.

        Not where Elasticsearch refuses what lies behind the window: that is this page's alone.
        """
        if reason != Reason.WIDENED_REFUSED:
            self._settle(plan, Settled(_match(plan), reason=reason))
        return reason

    def _settle(self, plan: RescorePlan, settled: Settled) -> Settled:
        return self._lists.settle(plan.key, settled)

    def _unscored_for(self, first: FirstStage, plan: RescorePlan) -> Reason | DeadlineExceeded | None:
        return _late() if first.late else unscorable(first, plan) or self._circuit(plan)

    def _circuit(self, plan: RescorePlan) -> Reason | None:
        """Ask again: while Elasticsearch searched, others may have made the model fail, or be probing it."""
        return None if self.breakers.allow(circuit_of(plan)) else Reason.CIRCUIT_OPEN

    async def _score(self, requests: list[ScoreRequest]) -> Sequence[Scores | BaseException]:
        """Ask the model, which keeps the deadlines itself; it is not waited for if it does not."""
        if not requests:
            return []
        deadline = Deadline(max(request.deadline for request in requests), self._clock)
        try:
            found = await deadline.meet(self._scores(requests), spare=_SPARE)
        except Exception as problem:  # fail open on anything: a bug of ours must not cost the answer
            return [problem] * len(requests)
        return [_late()] * len(requests) if isinstance(found, Reason) else found

    async def _scores(self, requests: list[ScoreRequest]) -> Sequence[Scores | BaseException]:
        if len(requests) != 1:
            return await self._scorer.score_many(requests)
        return [await self._scorer.score(requests[0])]

    async def _applied(
        self,
        first: FirstStage,
        plan: RescorePlan,
        scores: Scores | BaseException | Reason | Order,
        course: Course,
        fetched: float,
    ) -> Applied:
        """Write the scores into the answer; where there are none, or writing is late, give the hits as they came."""
        record = self._record(first, plan, course, fetched)
        if isinstance(scores, Scores | Order):
            try:
                writing = aside(len(first.answer), self._written, first, plan, record, scores, course)
                applied = await self.deadline(plan, course).meet(writing)
            except ValueError as problem:
                scores = BackendFailed(str(problem))
            except Exception as problem:
                scores = problem
            else:
                if isinstance(scores, Scores):
                    self.breakers.succeeded(circuit_of(plan))
                if isinstance(applied, Applied):
                    return applied
                scores = _late()
        record = replace(record, outcome="passed", reason=scores) if isinstance(scores, Reason) else record
        record = self._failed(plan, record, scores) if isinstance(scores, BaseException) else record
        record = replace(record, total=self._clock() - course.started)
        return await at_last(len(first.answer), self._unscored, first, plan, record)

    def _record(self, first: FirstStage, plan: RescorePlan, course: Course, fetched: float) -> RescoreRecord:
        return RescoreRecord(
            outcome="reranked",
            mapping=plan.pattern,
            window=plan.window.size_rescored,
            hits=len(first.hits) + len(first.rest),
            missing_fields=first.missing_fields,
            hits_without_text=first.textless(plan.window.size_rescored),
            texts_not_found=first.texts_not_found,
            elasticsearch=fetched - course.started,
        )

    def _written(
        self, first: FirstStage, plan: RescorePlan, record: RescoreRecord, scores: Scores | Order, course: Course
    ) -> Applied:
        if isinstance(scores, Scores):
            return self._rescored(first, plan, record, scores, course)
        return self._recalled(first, plan, replace(record, total=self._clock() - course.started), scores)

    def _rescored(
        self, first: FirstStage, plan: RescorePlan, record: RescoreRecord, scores: Scores, course: Course
    ) -> Applied:
        record = replace(
            record,
            model=scores.model,
            pairs=scores.pairs,
            tokens=scores.tokens,
            queue=scores.timings.queue,
            tokenize=scores.timings.tokenize,
            model_time=scores.timings.model,
            total=self._clock() - course.started,
        )
        places = permutation(first, plan, scores.values)
        whole = len(places) == len(first.hits[: plan.window.size_rescored])
        order = order_of(first.hits, places, scores.model, whole=whole)
        settled = self._settle(plan, Settled(_match(plan), order=order))
        if settled.reason is not None:
            return self._unscored(first, plan, replace(record, outcome="passed", reason=Reason.REMEMBERED))
        if settled.order is not None and settled.order is not order:
            return self._recalled(first, plan, record, settled.order)
        told = replace(record, reason=None if whole else Reason.BUDGET)
        return self._permuted(first, plan, told, places, read_of(first, plan, scores))

    def _recalled(self, first: FirstStage, plan: RescorePlan, record: RescoreRecord, order: Order) -> Applied:
        places = order.places(first.hits)
        if not places:  # other documents than those that were scored, or none
            passed = Reason.REMEMBERED if first.hits else Reason.NO_HITS
            return self._unscored(first, plan, replace(record, outcome="passed", reason=passed))
        reason = None if order.whole else Reason.BUDGET
        told = replace(record, outcome="reranked", reason=reason, model=order.model, hits_without_text=order.textless)
        return self._permuted(first, plan, told, places)

    def _permuted(
        self,
        first: FirstStage,
        plan: RescorePlan,
        record: RescoreRecord,
        places: Sequence[Place],
        read: Mapping[int, int] | None = None,
    ) -> Applied:
        took = round(record.total * 1000)
        body = apply(first, plan, places, took_ms=took, model=record.model or "", read=read)
        return Applied(body=body, record=replace(record, scored=len(places)))

    def _failed(self, plan: RescorePlan, record: RescoreRecord, problem: BaseException) -> RescoreRecord:
        if isinstance(problem, Overloaded):
            return replace(record, outcome="passed", reason=problem.reason)
        reason = problem.reason if isinstance(problem, ScoringError) else Reason.INTERNAL_ERROR
        if reason == Reason.INTERNAL_ERROR:
            _log.error("scoring failed; the client gets Elasticsearch's own answer", exc_info=problem)
        if tells_of_the_model(problem):
            self.breakers.failed(circuit_of(plan))
        return replace(record, outcome="failed", reason=reason)

    def _unscored(self, first: FirstStage, plan: RescorePlan, record: RescoreRecord) -> Applied:
        shown = record.outcome != "failed" or self._lists.pages_of_failures  # an error shows nothing
        if shown and record.reason not in (None, Reason.NO_HITS, Reason.REMEMBERED):
            settled = self._settle(plan, Settled(_match(plan), reason=record.reason))
            if settled.order is not None:
                return self._recalled(first, plan, record, settled.order)
        return Applied(body=unscored_body(first, plan, record), record=record)


def _match(plan: RescorePlan) -> Match:
    return Match(plan.pattern, plan.mapping)


def circuit_of(plan: RescorePlan) -> Circuit:
    """Return the circuit that a search is in: what fails for one mapping may do well for another."""
    return plan.pattern, plan.settings.model


def tells_of_the_model(problem: BaseException) -> bool:
    """Return whether a failure speaks against the model; being late, many, or not there does not, unless it hangs."""
    return isinstance(problem, ModelStalled) or not isinstance(problem, DeadlineExceeded | QueueFull | ScorerDown)


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("the time allowed for rescoring ran out")


def unscored_body(first: FirstStage, plan: RescorePlan, record: RescoreRecord | None = None) -> bytes:
    """Return Elasticsearch's own hits for the page, what was added for scoring removed."""
    took = None if record is None else round(record.total * 1000)
    return apply(first, plan, None, took_ms=took)
