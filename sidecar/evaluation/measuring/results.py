"""From answers to results: measures with intervals, comparisons, latencies, what was not reranked. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from sidecar.evaluation.asking.answers import RERANKED
from sidecar.evaluation.asking.journal import Answer
from sidecar.evaluation.asking.readers import Qrels
from sidecar.evaluation.measuring import measures
from sidecar.evaluation.measuring.measures import Hits, Values
from sidecar.evaluation.measuring.statistics import Comparison, Estimate, Statistics, holm

Ties = Literal["trec_eval", "answer"]
_TOP = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the client's wait in milliseconds, over ``count`` searches."""

    p50: float
    p95: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemResult:
    """One system over all queries. ``against`` compares with the baseline, by measure.

    ``outcomes`` counts `X-Rescore`; ``tied`` counts the queries in whose top 10 tied scores decide who stands where.
    ``values`` are by measure and query id.
    """

    name: str
    values: Values
    means: dict[str, Estimate]
    against: dict[str, Comparison] = field(default_factory=dict)
    adjusted: dict[str, float] = field(default_factory=dict)
    latency: Latency | None = None
    stages: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, int]
    tied: int

    @property
    def not_reranked(self) -> dict[str, int]:
        """Return how many searches were not reranked, by `outcome: reason`."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != RERANKED}


def run_of(hits: Hits, ties: Ties) -> Hits:
    """Return the run that is measured: the answer's scores, or scores that keep the answer's own order."""
    return hits if ties == "trec_eval" else [(document, float(len(hits) - i)) for i, (document, _) in enumerate(hits)]


def measured(
    name: str, answers: Mapping[str, Answer], qrels: Qrels, names: Sequence[str], ties: Ties, statistics: Statistics
) -> SystemResult:
    """Measure one system; ``answers`` are by query id."""
    judged = {query: qrels[query] for query in answers}
    values = measures.per_query(judged, {query: run_of(a.hits, ties) for query, a in answers.items()}, names)
    return SystemResult(
        name=name,
        values=values,
        means={measure: statistics.estimate(list(found.values())) for measure, found in values.items()},
        outcomes=dict(Counter(answer.outcome for answer in answers.values()).most_common()),
        tied=sum(measures.ties(answer.hits, _TOP) for answer in answers.values()),
    )


def comparisons(baseline: SystemResult, system: SystemResult, statistics: Statistics) -> dict[str, Comparison]:
    """Compare by each measure, query by query."""
    return {
        name: statistics.compare(list(values.values()), [system.values[name][query] for query in values])
        for name, values in baseline.values.items()
    }


def adjusted(all_comparisons: Sequence[Mapping[str, Comparison]]) -> list[dict[str, float]]:
    """Return each system's randomization p-values, adjusted by measure for the number of systems compared."""
    found: list[dict[str, float]] = [{} for _ in all_comparisons]
    for name in all_comparisons[0] if all_comparisons else ():
        for place, value in enumerate(holm([each[name].randomization for each in all_comparisons])):
            found[place][name] = value
    return found


def latency(answers: Sequence[Answer]) -> Latency | None:
    """Return the percentiles of timed answers."""
    if not answers:
        return None
    milliseconds = np.array([answer.seconds for answer in answers]) * 1000
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return Latency(float(p50), float(p95), len(answers))


def mean_stages(answers: Sequence[Answer]) -> dict[str, float]:
    """Return the mean of each of the sidecar's stages, in milliseconds."""
    names = list(dict.fromkeys(name for answer in answers for name in answer.stages))
    return {name: float(np.mean([answer.stages.get(name, 0.0) for answer in answers])) for name in names}


def gains(baseline: SystemResult, system: SystemResult, measure: str) -> list[tuple[str, float]]:
    """Return each query's gain, largest first."""
    before, after = baseline.values[measure], system.values[measure]
    return sorted(((query, after[query] - before[query]) for query in before), key=lambda each: (-each[1], each[0]))


def trec_run(answers: Mapping[str, Answer], ties: Ties, name: str) -> str:
    """Return a TREC run file, its lines in the order that trec_eval evaluates them in."""
    lines = []
    for query, answer in answers.items():
        scores = dict(run_of(answer.hits, ties))
        for rank, document in enumerate(measures.trec_order(list(scores.items())), start=1):
            lines.append(f"{_word(query)} Q0 {_word(document)} {rank} {scores[document]!r} {_word(name)}\n")
    return "".join(lines)


def _word(text: str) -> str:
    """Return a name as one word: columns of run files are separated by white space."""
    return "_".join(text.split())


def as_json(result: SystemResult) -> dict[str, Any]:
    """Return a result as JSON values."""
    return asdict(result)
