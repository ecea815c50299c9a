"""Writes log lines from a thread of its own: a pipe that nobody reads costs lines, never a request."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import threading
import time

_LINES = 4096
_LONGEST = 16 << 10
"""Bytes of one line; with the lines that may wait, it bounds the memory."""
_FLUSH = 1.0


class LineWriter(logging.Handler):
    """Hands lines to a thread that writes them to a descriptor; those that find the queue full are counted and lost."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes] = queue.Queue(_LINES)
        self._lost = 0
        self._told = 0
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line if len(line) <= _LONGEST else _cut(line, record))
        except queue.Full:
            self._lost += 1

    def stats(self) -> dict[str, float]:
        """Return how many lines were lost, for the metrics."""
        return {"lines_lost_total": self._lost}

    def flush(self) -> None:
        """Wait a moment until all lines are written."""
        ends = time.monotonic() + _FLUSH
        while self._lines.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.01)

    def _write_all(self) -> None:
        while True:
            line = self._lines.get()
            if self._lost > self._told:
                lost, self._told = self._lost - self._told, self._lost
                self._write(json.dumps({"level": "warning", "message": f"{lost} log lines were lost"}).encode())
            self._write(line)
            self._lines.task_done()

    def _write(self, line: bytes) -> None:
        rest = line + b"\n"
        with contextlib.suppress(OSError):  # nobody will ever read it
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # another process made the pipe non-blocking
                    select.select([], [self._descriptor], [], 1.0)


def _cut(line: bytes, record: logging.LogRecord) -> bytes:
    """Return a line that is too long as the beginning of its text, and still as JSON."""
    beginning = line[: _LONGEST // 8].decode("utf-8", "replace")
    return json.dumps({"level": record.levelname.lower(), "logger": record.name, "cut": beginning}).encode()
