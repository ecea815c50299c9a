"""What a replay shows: a table on the terminal, an HTML page, `results.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sidecar.evaluation.measuring.results import Latency
from sidecar.evaluation.replay.replaying import Replayed
from sidecar.evaluation.showing import page, plots

_LISTED: Final = 50
_TEXT: Final = 300


def table(replayed: Replayed, name: str) -> Table:
    """Return the summary as a table."""
    found = Table(title=Text(f"{name}, replayed", style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    found.add_column("what")
    found.add_column("value", justify="right")
    for what, value in rows(replayed):
        found.add_row(Text(what), Text(value))
    return found


def rows(replayed: Replayed) -> Iterator[tuple[str, str]]:
    """Yield the summary's lines."""
    summary = replayed.summary
    yield "searches replayed", str(len(replayed.changes))
    if summary.others:
        yield "other requests of the log, left out", str(summary.others)
    if summary.refused:
        yield "searches that Elasticsearch refused", str(summary.refused)
    for outcome, count in summary.outcomes.items():
        yield outcome, f"{count} ({count / len(replayed.changes):.1%})"
    yield "overlap@10 of reranked searches, mean", _number(summary.overlap_at_10)
    yield "rank change of the top 10, mean", _number(summary.shift)
    yield "Kendall's tau of the page, mean", _number(summary.kendall_tau)
    yield "searches with a new top hit", "" if summary.new_top is None else f"{summary.new_top:.1%}"
    yield "straight to Elasticsearch, p50 / p95", _latency(summary.direct)
    yield "through the sidecar, p50 / p95", _latency(summary.through)
    for stage, milliseconds in summary.stages.items():
        yield f"  of which {stage}, mean", f"{milliseconds:.1f} ms"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _latency(value: Latency | None) -> str:
    return "" if value is None else f"{value.p50:.0f} / {value.p95:.0f} ms"


def write(replayed: Replayed, name: str, folder: Path) -> list[Path]:
    """Write the page and `results.json`; give them."""
    report, results = folder / "report.html", folder / "results.json"
    report.write_text(html(replayed, name), "utf-8")
    found = {"summary": replayed.summary.as_json(), "searches": [asdict(each) for each in replayed.changes]}
    results.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return [report, results]


def html(replayed: Replayed, name: str) -> str:
    """Return the page: the summary, how overlaps are spread, the searches that changed most."""
    overlaps = [change.overlap_at_10 for change in replayed.changes]
    summary = page.table(["what", "value"], [("", [escape(what), escape(value)]) for what, value in rows(replayed)])
    return page.page(
        f"{name}, replayed",
        [summary, "<h2>Overlap</h2>", plots.overlaps(overlaps), "<h2>Changed most</h2>", _most(replayed)],
    )


def _most(replayed: Replayed) -> str:
    changed = sorted(replayed.changes, key=lambda change: (change.overlap_at_10, -(change.shift or 0.0)))
    found = []
    for change in changed[:_LISTED]:
        figures = [f"{change.overlap_at_10:.2f}", _number(change.shift), _number(change.kendall_tau)]
        found.append(("", [str(change.line), *figures, escape(change.outcome), escape(change.search[:_TEXT])]))
    return page.table(["line", "overlap@10", "rank change", "tau", "outcome", "search"], found)
