"""The signals that end the process.

The first asks for an orderly end and starts a clock on a thread of its own: what has not ended by then is left behind,
be it a thread or an event loop that hangs. The second gets the system's own treatment, which no state of ours can hold
up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_log = logging.getLogger("sidecar")


@contextlib.contextmanager
def on_stop(tell: Callable[[], object], limit: float, *, hangup_stops: bool) -> Iterator[None]:
    """Call ``tell`` on the first signal; end the process if it still runs ``limit`` seconds after it.

    Args:
        tell: may be called at any time on the main thread.
        limit: seconds.
        hangup_stops: whether SIGHUP is a signal to stop, too; else it is ignored until something handles it.
    """
    stop = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangup_stops else [])]
    stopped = False

    def first(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for each in stop:
            signal.signal(each, signal.SIG_DFL)
        clock = threading.Thread(target=_leave_behind, args=(limit, number), name="grace period", daemon=True)
        clock.start()
        tell()

    before = {number: signal.signal(number, first) for number in stop}
    if not hangup_stops:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in () if stopped else before.items():
            signal.signal(number, handler)


def _leave_behind(limit: float, number: int) -> None:
    time.sleep(limit)
    _log.error("not ended %g s after %s: what still runs is left behind", limit, signal.Signals(number).name)
    leave(1)


def leave(code: int) -> NoReturn:
    """End the process without waiting for its threads: one may hang, or be loading a model nobody waits for."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(code)
