"""The results as a table on the terminal."""

from __future__ import annotations

import os
import sys
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sidecar.evaluation.evaluate import Evaluation
from sidecar.evaluation.measuring.results import SystemResult, gains
from sidecar.evaluation.measuring.statistics import Estimate

COMPARED: Final = ("95 %", "difference", "95 %", "p", "p adj.", "win/loss/tie", "p50 ms", "p95 ms")
"""Columns of a system's intervals, of its comparison with the baseline, and of its latency."""


def summary(evaluation: Evaluation, title: str) -> Group:
    """Return two tables of a row a system: all means; then the first measure's intervals, p-values, latency."""
    return Group(_means(evaluation, title), _compared(evaluation))


def _means(evaluation: Evaluation, title: str) -> Table:
    table = _table("system", *evaluation.measures)
    table.title, table.title_justify = Text(title, style="bold"), "left"
    for system in evaluation.systems:
        cells = (f"{system.means[name].mean:.4f}" for name in evaluation.measures)
        table.add_row(Text(system.name), *cells, style=_style(system, evaluation))
    return table


def _compared(evaluation: Evaluation) -> Table:
    table = _table("system", *COMPARED)
    table.caption, table.caption_justify = Text(caption(evaluation)), "left"
    for system in evaluation.systems:
        cells = compared(system, evaluation.measures[0])
        table.add_row(Text(system.name), *cells, style=_style(system, evaluation))
    return table


def compared(system: SystemResult, measure: str) -> list[str]:
    """Return a system's cells under ``COMPARED``, of one measure."""
    return [interval(system.means[measure]), *_against(system, measure), *_latency(system)]


def _table(name: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(name)
    for other in others:
        table.add_column(other, justify="right")
    return table


def _style(system: SystemResult, evaluation: Evaluation) -> str | None:
    return "bold" if system is evaluation.best else None


def interval(value: Estimate, sign: str = "") -> str:
    """Return a mean's interval; nothing where there is none."""
    return "" if value.low is None or value.high is None else f"{value.low:{sign}.3f}..{value.high:{sign}.3f}"


def p_value(value: float) -> str:
    """Return a p-value in three digits."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _against(system: SystemResult, measure: str) -> list[str]:
    if measure not in system.against:
        return [""] * 5
    found = system.against[measure]
    shares = f"{found.wins}/{found.losses}/{found.ties}"
    adjusted = p_value(system.adjusted[measure])
    difference = [f"{found.difference.mean:+.4f}", interval(found.difference, "+")]
    return [*difference, p_value(found.randomization), adjusted, shares]


def _latency(system: SystemResult) -> list[str]:
    latency = system.latency
    return ["", ""] if latency is None else [f"{latency.p50:.0f}", f"{latency.p95:.0f}"]


def caption(evaluation: Evaluation) -> str:
    """Say what a reader must know beside the figures: how many queries, what was not reranked, ties, timing."""
    queries = len(evaluation.answers[evaluation.baseline.name])
    lines = [
        f"{queries} queries; p: paired randomization test against {evaluation.baseline.name}, two-sided; adj.: Holm"
    ]
    for system in evaluation.systems[1:]:
        if system.not_reranked:
            reasons = ", ".join(f"{count} {reason}" for reason, count in system.not_reranked.items())
            lines.append(f"{system.name}: not reranked: {reasons}")
    tied = {system.name: system.tied for system in evaluation.systems if system.tied}
    if tied and evaluation.ties == "trec_eval":
        most = max(tied, key=lambda name: tied[name])
        lines.append(
            f"tied scores decide the top 10 of up to {tied[most]} queries ({most}): "
            "measured by document id, as trec_eval does, not as people see them; see --ties"
        )
    if evaluation.experiment.swept and evaluation.baseline.latency is not None:
        lines.append(f"latency: {evaluation.baseline.latency.count} queries, no score cache, one fusion a window")
    return "\n".join(lines)


def console() -> Console:
    """Return the console of the results: wide where nobody's screen bounds it, so that files hold whole rows."""
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if bounded else 140, highlight=False)


def extremes(evaluation: Evaluation, count: int) -> Table:
    """Return the queries of the largest gains and losses of the best system."""
    found = gains(evaluation.baseline, evaluation.best, evaluation.measures[0])
    table = _table(f"{evaluation.best.name}: query", "gain")
    chosen = [*[each for each in found if each[1] > 0][:count], *[each for each in found if each[1] < 0][-count:]]
    for query, gain in chosen:
        table.add_row(Text(f"{query}  {evaluation.experiment.queries[query]}"), f"{gain:+.4f}")
    return table
