"""The progress bar, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINES: Final = 20


@contextmanager
def bar(known: int, total: int, *, anew: bool) -> Iterator[Callable[[], None]]:
    """Show how many searches are done; ``known`` of them were before. Without a terminal, in a line now and then."""
    console = Console(stderr=True, highlight=False)
    if anew:
        console.print("the settings are not those of earlier runs in this folder: starting anew")
    if not console.is_terminal:
        console.print(f"{total} searches, {known} of them known from earlier runs")
        yield _lines(console, known, total)
        return
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("searching", total=total, completed=known)
        yield lambda: progress.advance(task)


def _lines(console: Console, known: int, total: int) -> Callable[[], None]:
    """Return what prints a line at every twentieth of the whole."""
    done = known

    def advance() -> None:
        nonlocal done
        done += 1
        if done * _LINES // total > (done - 1) * _LINES // total:
            console.print(f"{done} of {total} searches done")

    return advance
