"""Measures of a run, by trec_eval's definitions, through ir_measures. Pure.

ir_measures takes each measure from one of several libraries, which order tied scores differently. The order is
therefore made here, by trec_eval's rule, and each library is given scores without ties.
Source: trec_eval, `form_res_rels.c`: scores in single precision, descending; ties by document id, descending.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ir_measures

Hits = Sequence[tuple[str, float]]
"""Document ids and scores, in the order of the answer."""

Values = dict[str, dict[str, float]]
"""A value by query id, by the measure's name."""

DEFAULTS: Final = ("nDCG@10", "RR@10", "P@5", "P@10", "R@100", "Judged@10")


def parse(name: str) -> Any:
    """Return ir_measures' measure of this name, such as `nDCG@10` or `P(rel=2)@5`.

    Raises:
        ValueError: there is none, or it needs a library that is not installed.
    """
    try:
        measure = ir_measures.parse_measure(name)
        known = any(p.is_available() and p.supports(measure) for p in ir_measures.DefaultPipeline.providers)
    except (ValueError, NameError, TypeError, KeyError) as problem:
        raise ValueError(f"unknown measure {name!r}, expected one such as {', '.join(DEFAULTS)}") from problem
    if not known:
        raise ValueError(f"the measure {name!r} needs a library that is not installed")
    return measure


def trec_order(hits: Hits) -> list[str]:
    """Return the document ids in the order that trec_eval evaluates them in."""
    return [document for document, _ in sorted(hits, key=lambda hit: (_single(hit[1]), hit[0]), reverse=True)]


def _single(score: float) -> float:
    return float(struct.unpack("f", struct.pack("f", score))[0])


def ties(hits: Hits, depth: int) -> bool:
    """Return whether ties decide which document stands where in the top ``depth``."""
    order = trec_order(hits)
    return order[:depth] != [document for document, _ in hits[:depth]]


def per_query(qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Hits], names: Sequence[str]) -> Values:
    """Measure each query of the qrels; one that found nothing counts 0, as with trec_eval's `-c`."""
    ordered = {query: trec_order(hits) for query, hits in run.items() if hits and query in qrels}
    scored = {
        query: {document: float(len(order) - i) for i, document in enumerate(order)} for query, order in ordered.items()
    }
    measures = {parse(name): name for name in names}
    values: Values = {name: dict.fromkeys(qrels, 0.0) for name in names}
    if not scored:
        return values
    judged = {query: dict(grades) for query, grades in qrels.items()}
    for metric in ir_measures.iter_calc(list(measures), judged, scored):
        values[measures[metric.measure]][metric.query_id] = float(metric.value)
    return values
