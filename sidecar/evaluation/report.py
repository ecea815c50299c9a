"""The report: one HTML page that needs nothing from anywhere else. Pure but for the plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape

from sidecar.evaluation import plots, table
from sidecar.evaluation.evaluate import EXTREMES, SHOWN, Evaluation
from sidecar.evaluation.results import SystemResult, gains

_SNIPPET = 160
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top }
th:first-child, td:first-child, td.text { text-align: left }
tr.best { font-weight: 600 } .gain, .grade { color: #2a7f3f } .loss { color: #b3372f } .grade { font-weight: 600 }
.scroll { overflow-x: auto } svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .6rem }
ol { margin: 0; padding-left: 1.2rem } ol li { margin: 0 }
"""


def html(evaluation: Evaluation) -> str:
    """Give the page."""
    experiment = evaluation.experiment
    title = f"Relevance of {experiment.index}"
    return _page(title, [
        f"<p>{escape(table.caption(evaluation))}</p>".replace("\n", "<br>"),
        _systems(evaluation),
        "<h2>Gain per query</h2>", plots.gain_per_query(evaluation),
        *_plot("Quality against latency", plots.quality_by_latency(evaluation)),
        *_plot("Quality against window", plots.quality_by_window(evaluation)),
        *_extremes(evaluation),
        "<h2>Every query</h2>", _every_query(evaluation),
        "<h2>Search body</h2>", f"<pre>{escape(json.dumps(experiment.body, indent=2))}</pre>",
    ])  # fmt: skip


def _page(title: str, parts: Iterable[str]) -> str:
    head = f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
    body = "\n".join(parts)
    return f"{head}<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"


def _plot(title: str, svg: str | None) -> list[str]:
    return [] if svg is None else [f"<h2>{escape(title)}</h2>", svg]


def _table(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Give a table; rows are (class, cells), cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr class='{name}'>{''.join(f'<td>{c}</td>' for c in cells)}</tr>" for name, cells in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"


def _systems(evaluation: Evaluation) -> str:
    rows = (("best" if each is evaluation.best else "", _cells(each, evaluation)) for each in evaluation.systems)
    return _table(["system", *evaluation.measures, *table.COMPARED, "not reranked"], rows)


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
            cells.append(f"{value:.3f}{_hits(query, system, evaluation)}")
        rows.append(("text", cells))
    return _table(["query", before.name, after.name], rows).replace("<td>", "<td class='text'>")


def _hits(query: str, system: SystemResult, evaluation: Evaluation) -> str:
    grades = evaluation.qrels[query]
    items = []
    for document, _ in evaluation.answers[system.name][query].hits[:SHOWN]:
        grade = f"<span class='grade'>{grades[document]}</span> " if grades.get(document, 0) > 0 else ""
        text = evaluation.texts.get(document, "")
        items.append(f"<li>{grade}{escape(document)} {escape(text[:_SNIPPET])}</li>")
    return f"<ol>{''.join(items)}</ol>"


def _every_query(evaluation: Evaluation) -> str:
    measure, queries = evaluation.measures[0], evaluation.experiment.queries
    before = evaluation.baseline.values[measure]
    rows = []
    for query, gain in gains(evaluation.baseline, evaluation.best, measure):
        shown = f"<span class='{'gain' if gain > 0 else 'loss' if gain < 0 else ''}'>{gain:+.4f}</span>"
        cells = [escape(query), f"{before[query]:.4f}", f"{before[query] + gain:.4f}", shown, escape(queries[query])]
        rows.append(("", cells))
    header = ["query id", evaluation.baseline.name, evaluation.best.name, "gain", "text"]
    return f"<details><summary>{len(rows)} queries</summary>{_table(header, rows)}</details>"
