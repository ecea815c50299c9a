"""Logs as one JSON object a line, and an observer that writes one line for each search."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime

from sidecar.observing.line_writer import LineWriter
from sidecar.observing.records import RescoreRecord, SearchStart, ShadowRecord, Tell

_log = logging.getLogger("sidecar.search")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON line; ``extra={"fields": {...}}`` is merged in."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _visible(json.dumps(line, ensure_ascii=False, default=str))


def _visible(text: str) -> str:
    """Escape what a terminal or a viewer would obey: control characters beyond C0, line and text direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def configure(level: str) -> LineWriter:
    """Send the sidecar's logs to standard error as JSON lines, at ``level`` and above."""
    handler = LineWriter(sys.stderr.fileno())
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return handler


class SearchLog:
    """Writes each search's record: failures as warnings, the rest at debug level."""

    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        """Log a search when it is answered: a line for each of several that were answered as one."""
        del start
        return nullcontext(_log_all)

    def shadow(self, record: ShadowRecord) -> None:
        """Log one shadow comparison."""
        _log.debug("shadow", extra={"fields": asdict(record)})


def _log_all(record: RescoreRecord) -> None:
    for search in record.searches:
        level = logging.WARNING if search.outcome == "failed" else logging.DEBUG
        if _log.isEnabledFor(level):
            fields = {name: value for name, value in asdict(search).items() if value not in (None, ())}
            _log.log(level, "search %s", search.outcome, extra={"fields": fields})
