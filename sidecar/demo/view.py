"""How the demo looks: BM25 and rescored hits side by side, in colour where the terminal has it."""

from __future__ import annotations

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sidecar.demo.compare import Comparison, Shown

_STAGES = {"es": "Elasticsearch", "queue": "queue", "tokenize": "tokenize", "model": "model"}


def side_by_side(comparison: Comparison) -> Group:
    """Return one question's table and its timings."""
    table = Table(title=Text(comparison.question, style="bold"), title_justify="left", expand=True, pad_edge=False)
    table.add_column("#", style="dim", width=2, justify="right")
    table.add_column("Elasticsearch (BM25)", ratio=1)
    table.add_column("through the sidecar", ratio=1)
    table.add_column("was", width=7, justify="right")
    for before, after in zip(comparison.first_stage, comparison.rescored, strict=False):
        table.add_row(str(after.rank), _hit(before, "default"), _hit(after, _colour(after)), _movement(after))
    return Group(table, _timings(comparison), Text())


def _hit(hit: Shown, colour: str) -> Text:
    text = Text(hit.title + "\n", style=f"bold {colour}", no_wrap=True, overflow="ellipsis")
    return text.append(hit.text, style="not bold dim default")


def _colour(hit: Shown) -> str:
    return "green" if hit.moved > 0 else "red" if hit.moved < 0 else "default"


def _movement(hit: Shown) -> Text:
    if hit.before is None:
        return Text("new", style="yellow")
    if hit.moved == 0:
        return Text("same", style="dim")
    return Text(f"{'▲' if hit.moved > 0 else '▼'} #{hit.before}", style=_colour(hit))


def _timings(comparison: Comparison) -> Text:
    stages = (
        f"{label} {comparison.timings[key]:.0f} ms" for key, label in _STAGES.items() if key in comparison.timings
    )
    return Text(" · ".join([*stages, comparison.status]), style="dim")


def indexing(console: Console) -> Progress:
    """Return the progress bar of indexing."""
    return Progress(TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
