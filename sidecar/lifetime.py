"""What holds for each process that serves: its log, its descriptors, its event loop, its garbage, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from sidecar.config.model import Config
from sidecar.observing import logs
from sidecar.observing.line_writer import LineWriter
from sidecar.signals import on_stop

_TURN = 0.001
"""Seconds that a thread computes before the event loop, if it waits, has its turn; Python's own are 5 ms."""
_COLLECTOR = (50_000, 20, 50)
"""Objects, and collections of the younger generations, between two collections; Python's own are (700, 10, 10)."""


def run_until_stopped(
    config: Config, work: Callable[[asyncio.Event, LineWriter], Coroutine[Any, Any, None]], *, hangup_stops: bool
) -> int:
    """Run ``work`` on an event loop, in a process that ends by a signal; return the exit code."""
    writer = prepare_process(config)
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        loop, stop = runner.get_loop(), asyncio.Event()
        limit = config.shutdown.delay + config.shutdown.grace_period
        with on_stop(lambda: loop.call_soon_threadsafe(stop.set), limit, hangup_stops=hangup_stops):
            runner.run(work(stop, writer))
    return 0


def prepare_process(config: Config) -> LineWriter:
    """Set what holds for a process that serves; return the writer of its log."""
    writer = logs.configure(config.log_level)
    _take_descriptors()
    sys.setswitchinterval(_TURN)
    return writer


def _take_descriptors() -> None:
    """Allow as many open connections as the system lets us: the usual soft limit is 1024, from the days of select."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def event_loop() -> Any:
    """Return what makes the event loop, None for Python's own."""
    try:
        import uvloop
    except ImportError:  # not built for this platform
        return None
    return uvloop.new_event_loop


def leave_alone_what_stays() -> None:
    """Keep the garbage collector from walking over all modules and models, and over a large body ten times.

    A full collection with torch loaded stops every thread for 100 ms; what is built of a body has no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)
