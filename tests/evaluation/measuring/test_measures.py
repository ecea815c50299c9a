"""Measures against figures worked out by hand, and against trec_eval's own code (in pytrec_eval), ties included."""

from __future__ import annotations

import math

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from sidecar.evaluation.measuring.measures import DEFAULTS, parse, per_query, ties, trec_order

# One query: a is highly relevant, b and d are relevant, c is judged as not; x is not judged, d is not found.
QRELS = {"q1": {"a": 2, "b": 1, "c": 0, "d": 1}}
RUN = {"q1": [("c", 3.0), ("a", 2.0), ("x", 1.5), ("b", 1.0)]}


def test_an_example_worked_out_by_hand() -> None:
    values = {name: found["q1"] for name, found in per_query(QRELS, RUN, DEFAULTS).items()}
    # DCG = 2/log2(3) + 1/log2(5) = 1.261860 + 0.430677; ideal = 2/log2(2) + 1/log2(3) + 1/log2(4) = 3.130930
    assert values["nDCG@10"] == pytest.approx(0.540586, abs=1e-6)
    assert values["RR@10"] == 0.5  # the first relevant document is second
    assert values["P@5"] == pytest.approx(2 / 5)
    assert values["P@10"] == pytest.approx(2 / 10)
    assert values["R@100"] == pytest.approx(2 / 3)
    assert values["Judged@10"] == pytest.approx(3 / 4)  # of the four found


def test_ties_are_broken_by_document_id_descending() -> None:
    run = {"q": [("a", 1.0), ("b", 1.0), ("c", 1.0)]}
    assert trec_order(run["q"]) == ["c", "b", "a"]
    found = per_query({"q": {"a": 1}}, run, ["RR@10", "nDCG@10", "P@1", "Judged@1"])
    assert found["RR@10"]["q"] == pytest.approx(1 / 3)
    assert found["nDCG@10"]["q"] == pytest.approx(1 / math.log2(4))
    assert found["P@1"]["q"] == 0.0
    assert found["Judged@1"]["q"] == 0.0


def test_scores_compare_in_single_precision() -> None:
    assert trec_order([("a", 0.1 + 1e-12), ("b", 0.1)]) == ["b", "a"]
    assert trec_order([("a", 0.1 + 1e-6), ("b", 0.1)]) == ["a", "b"]


def test_ties_are_told_only_where_they_decide_the_top() -> None:
    assert ties([("a", 1.0), ("b", 1.0)], 10)
    assert not ties([("b", 1.0), ("a", 1.0)], 10)
    assert not ties([("c", 3.0), ("a", 1.0), ("b", 1.0)], 1)


@pytest.mark.parametrize("run", [{}, {"q1": []}, {"other": [("a", 1.0)]}])
def test_a_query_that_found_nothing_counts_zero(run: dict[str, list[tuple[str, float]]]) -> None:
    assert per_query(QRELS, run, DEFAULTS) == {name: {"q1": 0.0} for name in DEFAULTS}


def test_a_query_without_relevant_documents_counts_zero() -> None:
    assert per_query({"q": {"a": 0}}, {"q": [("a", 1.0)]}, ["nDCG@10", "RR@10"]) == {
        "nDCG@10": {"q": 0.0},
        "RR@10": {"q": 0.0},
    }


@pytest.mark.parametrize("name", ["foo@3", "P@", "alpha_nDCG@10", "nDCG(dcg='exp-log2')@10 or 1"])
def test_unknown_measures_are_named(name: str) -> None:
    with pytest.raises(ValueError, match="measure"):
        parse(name)


_DOCUMENTS = st.sampled_from([f"d{i}" for i in range(30)] + ["D1", "é", "z"])
_HITS = st.dictionaries(_DOCUMENTS, st.sampled_from([0.1, 0.1 + 1e-12, 0.5, 1.0, 2.0, -1.0]), min_size=1, max_size=30)
_GRADES = st.dictionaries(_DOCUMENTS, st.integers(0, 3), min_size=1, max_size=20)


@given(_HITS, _GRADES)
def test_it_agrees_with_trec_eval(hits: dict[str, float], grades: dict[str, int]) -> None:
    names = {"nDCG@10": "ndcg_cut_10", "P@5": "P_5", "P@10": "P_10", "R@100": "recall_100", "AP": "map"}
    theirs = pytrec_eval.RelevanceEvaluator({"q": grades}, {*names.values(), "recip_rank"}).evaluate({"q": hits})["q"]
    ours = per_query({"q": grades}, {"q": list(hits.items())}, [*names, "RR@10"])
    for name, theirs_name in names.items():
        assert ours[name]["q"] == pytest.approx(theirs[theirs_name], abs=1e-6)
    within = theirs["recip_rank"] if theirs["recip_rank"] >= 1 / 10 else 0.0
    assert ours["RR@10"]["q"] == pytest.approx(within, abs=1e-6)
