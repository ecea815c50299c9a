"""The report: one HTML page that needs nothing from anywhere else. Pure but for the plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from sidecar.evaluation.evaluate import EXTREMES, SHOWN, Evaluation
from sidecar.evaluation.measuring.results import SystemResult, gains
from sidecar.evaluation.showing import plots, table
from sidecar.evaluation.showing.page import facts, page
from sidecar.evaluation.showing.page import table as table_of
from sidecar.evaluation.showing.verdict import verdict

_SNIPPET = 160


def html(evaluation: Evaluation) -> str:
    """Return the page."""
    experiment = evaluation.experiment
    title = f"Relevance of {experiment.index}"
    return page(title, [
        f"<p class='verdict'>{escape(verdict(evaluation))}</p>",
        facts(evaluation.about.items()),
        f"<p>{escape(table.caption(evaluation))}</p>".replace("\n", "<br>"),
        _systems(evaluation),
        "<h2>Gain per query</h2>", plots.gain_per_query(evaluation),
        *_plot("Quality against latency", plots.quality_by_latency(evaluation)),
        *_plot("Quality against window", plots.quality_by_window(evaluation)),
        *_extremes(evaluation),
        "<h2>Every query</h2>", _every_query(evaluation),
        "<h2>Search body</h2>", f"<pre>{escape(json.dumps(experiment.body, indent=2))}</pre>",
    ])  # fmt: skip


def _plot(title: str, svg: str | None) -> list[str]:
    return [] if svg is None else [f"<h2>{escape(title)}</h2>", svg]


def _systems(evaluation: Evaluation) -> str:
    rows = (("best" if each is evaluation.best else "", _cells(each, evaluation)) for each in evaluation.systems)
    return table_of(["system", *evaluation.measures, *table.COMPARED, "not reranked"], rows)


def _cells(system: SystemResult, evaluation: Evaluation) -> list[str]:
    means = (f"{system.means[name].mean:.4f}" for name in evaluation.measures)
    others = [escape(cell) for cell in table.compared(system, evaluation.measures[0])]
    missed = system.not_reranked if system is not evaluation.baseline else {}
    reasons = "<br>".join(f"{count} {escape(reason)}" for reason, count in missed.items())
    return [escape(system.name), *means, *others, reasons]


def _extremes(evaluation: Evaluation) -> list[str]:
    found = gains(evaluation.baseline, evaluation.best, evaluation.measures[0])
    best = [query for query, gain in found[:EXTREMES] if gain > 0]
    worst = [query for query, gain in reversed(found[-EXTREMES:]) if gain < 0]
    return [
        *(["<h2>Largest gains</h2>", _with_hits(best, evaluation)] if best else []),
        *(["<h2>Largest losses</h2>", _with_hits(worst, evaluation)] if worst else []),
    ]


def _with_hits(queries: Sequence[str], evaluation: Evaluation) -> str:
    before, after = evaluation.baseline, evaluation.best
    rows = []
    for query in queries:
        cells = [escape(evaluation.experiment.queries[query])]
        for system in (before, after):
            value = system.values[evaluation.measures[0]][query]
            other = after if system is before else before
            cells.append(f"{value:.3f}{_hits(query, system, other, evaluation)}")
        rows.append(("text", cells))
    sides = table_of(["query", before.name, after.name], rows, "sides")
    return sides.replace("<td>", "<td class='text side'>")


def _hits(query: str, system: SystemResult, other: SystemResult, evaluation: Evaluation) -> str:
    """Return the first hits of one side, with their grades and their places on the other side."""
    grades = evaluation.qrels[query]
    answers = evaluation.answers[other.name][query].hits
    places = {document: place for place, (document, _) in enumerate(answers, start=1)}
    items = []
    for document, _ in evaluation.answers[system.name][query].hits[:SHOWN]:
        there = f"<span class='from'>({_there(places.get(document), other)})</span> "
        grade = f"<span class='grade'>{grades[document]}</span> " if grades.get(document, 0) > 0 else ""
        text = evaluation.texts.get(document, "")
        items.append(f"<li>{grade}{there}{escape(document)} {escape(text[:_SNIPPET])}</li>")
    return f"<ol>{''.join(items)}</ol>"


def _there(place: int | None, other: SystemResult) -> str:
    return f"not in {escape(other.name)}" if place is None else f"{place}. in {escape(other.name)}"


def _every_query(evaluation: Evaluation) -> str:
    measure, queries = evaluation.measures[0], evaluation.experiment.queries
    before = evaluation.baseline.values[measure]
    rows = []
    for query, gain in gains(evaluation.baseline, evaluation.best, measure):
        shown = f"<span class='{'gain' if gain > 0 else 'loss' if gain < 0 else ''}'>{gain:+.4f}</span>"
        cells = [escape(query), f"{before[query]:.4f}", f"{before[query] + gain:.4f}", shown, escape(queries[query])]
        rows.append(("", cells))
    header = ["query id", evaluation.baseline.name, evaluation.best.name, "gain", "text"]
    return f"<details><summary>{len(rows)} queries</summary>{table_of(header, rows)}</details>"
