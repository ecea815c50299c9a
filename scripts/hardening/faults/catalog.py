"""All faults, and the table of them in docs/operations.md."""

from __future__ import annotations

from pathlib import Path

from hardening.faults import around, scoring, signals, upstream
from sidecar.commands.reference import replaced

FAULTS = (*upstream.FAULTS, *scoring.FAULTS, *around.FAULTS, *signals.FAULTS)
_PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def table() -> str:
    """Return the table of faults."""
    head = ["| where | fault | the client sees | the operator sees | what to do |", "|---|---|---|---|---|"]
    rows = [f"| {each.group} | {each.name} | {each.client} | {each.operator} | {each.advice} |" for each in FAULTS]
    return "\n".join([*head, *rows, ""])


def write_table() -> None:
    """Write the table into the documentation."""
    _PAGE.write_text(replaced(_PAGE.read_text("utf-8"), "faults", table()), "utf-8")
