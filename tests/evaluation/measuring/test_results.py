"""From answers to results, and TREC run files."""

from __future__ import annotations

import pytest

from sidecar.config.model import Config
from sidecar.errors import SidecarError
from sidecar.evaluation.asking.answers import outcome, read_hits, stages
from sidecar.evaluation.asking.experiment import Experiment, sidecar_config, tasks
from sidecar.evaluation.asking.journal import Answer
from sidecar.evaluation.asking.searching import whole
from sidecar.evaluation.asking.systems import sweep, systems
from sidecar.evaluation.measuring.results import SystemResult, comparisons, gains, latency, measured, trec_run
from sidecar.evaluation.measuring.statistics import Statistics

QRELS = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}}
TIED = {"q1": [("a", 1.0), ("b", 1.0)], "q2": [("b", 2.0), ("a", 1.0)], "q3": []}


def answers(hits: dict[str, list[tuple[str, float]]], status: str = "reranked") -> dict[str, Answer]:
    return {query: Answer(outcome=status, seconds=0.1, hits=found) for query, found in hits.items()}


def result(hits: dict[str, list[tuple[str, float]]], ties: str = "trec_eval") -> SystemResult:
    return measured("s", answers(hits), QRELS, ["RR@10"], ties, Statistics(3, 0))  # type: ignore[arg-type]  # literal


def test_ties_by_trec_evals_rule_or_as_the_answer_had_them() -> None:
    assert result(TIED).values == {"RR@10": {"q1": 0.5, "q2": 1.0, "q3": 0.0}}
    assert result(TIED, "answer").values == {"RR@10": {"q1": 1.0, "q2": 1.0, "q3": 0.0}}
    assert result(TIED).tied == 1


def test_run_files_read_the_same_by_rank_and_by_score() -> None:
    assert trec_run(answers(TIED), "trec_eval", "my run") == (
        "q1 Q0 b 1 1.0 my_run\nq1 Q0 a 2 1.0 my_run\nq2 Q0 b 1 2.0 my_run\nq2 Q0 a 2 1.0 my_run\n"
    )
    assert trec_run(answers({"q1": TIED["q1"]}), "answer", "r") == "q1 Q0 a 1 2.0 r\nq1 Q0 b 2 1.0 r\n"
    assert trec_run(answers({"q 1": [("a b", 1.0)]}), "answer", "r") == "q_1 Q0 a_b 1 1.0 r\n"


def test_wins_losses_and_gains() -> None:
    better = {"q1": [("b", 2.0), ("a", 1.0)], "q2": [("b", 1.0)], "q3": [("c", 1.0)]}
    before = result({"q1": [("a", 1.0)], "q2": [("a", 2.0), ("b", 1.0)], "q3": []})
    found = comparisons(before, result(better), Statistics(3, 0))["RR@10"]
    assert (found.wins, found.losses, found.ties) == (2, 1, 0)
    assert gains(before, result(better), "RR@10") == [("q3", 1.0), ("q2", 0.5), ("q1", -0.5)]


def test_what_was_not_reranked_is_counted_by_reason() -> None:
    mixed = {**answers({"q1": [], "q2": []}), **answers({"q3": []}, "passed: sorted")}
    found = measured("s", mixed, QRELS, ["RR@10"], "trec_eval", Statistics(3, 0))
    assert found.outcomes == {"reranked": 2, "passed: sorted": 1}
    assert found.not_reranked == {"passed: sorted": 1}


def test_latencies_are_milliseconds() -> None:
    found = latency([Answer(outcome="direct", seconds=seconds, hits=[]) for seconds in (0.1, 0.2, 0.3)])
    assert found is not None
    assert [found.p50, found.p95] == pytest.approx([200, 290])
    assert found.count == 3
    assert latency([]) is None


def test_headers() -> None:
    assert outcome({"x-rescore": "reranked; window=10; model=m"}) == "reranked"
    assert outcome({"x-rescore": "passed; reason=sorted"}) == "passed: sorted"
    assert outcome({}) == "direct"
    assert stages({"server-timing": "es;dur=1.5, model;dur=20.0"}) == {"es": 1.5, "model": 20.0}


def test_hits_without_scores_keep_their_order_and_an_id_counts_once() -> None:
    hits = [{"_id": "a", "_score": None}, {"_id": "b", "_score": None}, {"_id": "a", "_score": None}]
    assert read_hits({"hits": {"hits": hits}}) == [("a", 0.0), ("b", -1.0)]


@pytest.mark.parametrize("flaw", [{"timed_out": True}, {"_shards": {"total": 2, "successful": 1, "failed": 1}}])
def test_an_answer_in_part_is_not_measured(flaw: dict[str, object]) -> None:
    with pytest.raises(SidecarError, match="Elasticsearch answered in part"):
        whole({"timed_out": False, "_shards": {"total": 2, "successful": 2, "failed": 0}, **flaw})


def test_points_of_a_sweep_share_scores_and_what_is_timed_does_not() -> None:
    config = Config.model_validate({"indices": {"i": {"fields": ["text"]}}})
    mapping = config.indices["i"]
    points = systems(sweep(["window_size=10,20"]), mapping, "bundled")
    experiment = Experiment(
        config=config,
        index="i",
        mapping=mapping,
        body={},
        queries={"q1": "text"},
        systems=points,
        depth=10,
        latency_queries=1,
        concurrency=1,
    )
    assert sidecar_config(experiment, points[0], cached=True).engine.score_cache > 0
    assert sidecar_config(experiment, points[0], cached=False).engine.score_cache == 0
    found = tasks(experiment, {"uuids": ["u"], "documents": 1})
    assert [(task.name, task.timed) for task in found] == [
        ("elasticsearch", False),
        ("window=20", False),
        ("window=10", False),
        ("elasticsearch", True),
        ("window=20", True),
        ("window=10", True),
    ]
    assert len({task.key for task in found}) == 6
    assert {task.key for task in tasks(experiment, {"uuids": ["u"], "documents": 2})}.isdisjoint(
        {task.key for task in found}
    )
