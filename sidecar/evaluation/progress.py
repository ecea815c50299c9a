"""The progress bar, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(known: int, total: int, *, anew: bool) -> Iterator[Callable[[], None]]:
    """Show how many searches are done; ``known`` of them were before. Without a terminal, one line at the start."""
    console = Console(stderr=True)
    if anew:
        console.print("the settings are not those of earlier runs in this folder: starting anew", highlight=False)
    if not console.is_terminal:
        console.print(f"{total} searches, {known} of them known from earlier runs", highlight=False)
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("searching", total=total, completed=known)
        yield lambda: progress.advance(task)
