"""Log lines: nothing in them is obeyed by a terminal, and a pipe that nobody reads costs lines, not requests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from sidecar.observing.line_writer import LineWriter
from sidecar.observing.logs import JsonFormatter
from tests.http.conftest import Recorder, recording, request, say
from tests.processes import SERVE
from tests.test_reasons import free_port

PIPE_SIZE = 1031  # F_SETPIPE_SZ (fcntl(2))


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x7f", "\x9b31m", "\u2028", "\u202e", "\u2066", "\ufeff", "\ud800", "\U000e0041", "\r\n"]
)
def test_nothing_in_a_line_is_obeyed_by_a_terminal_or_viewer(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s", (f"a{text}é€",), None)
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["message"] == f"a{text}é€"
    assert "é€" in line


def _record(message: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "f", 1, message, None, None)


def test_lines_that_nobody_reads_are_lost_counted_and_told_once_somebody_reads() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    for i in range(20_000):
        writer.emit(_record(f"{i:01000}"))
    lost = writer.stats()["lines_lost_total"]
    assert lost > 10_000
    with os.fdopen(reading, "rb") as pipe:
        got = [pipe.readline() for _ in range(2)]
        assert got[0].startswith(b"000")
        while not got[-1].startswith(b"{"):
            got.append(pipe.readline())
    assert json.loads(got[-1])["message"].endswith(" log lines were lost")
    writer.flush()
    os.close(writing)


def test_a_line_that_is_too_long_is_cut_and_still_json() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    writer.emit(_record("x" * 1_000_000))
    writer.flush()
    line = os.read(reading, 1 << 20)
    assert len(line) < 16 << 10
    assert json.loads(line)["cut"].startswith("xxx")
    os.close(reading)
    os.close(writing)


async def test_a_log_pipe_that_nobody_reads_stops_no_request_and_no_shutdown(tmp_path: Path) -> None:
    listener = {"host": "127.0.0.1", "port": 0}
    reading, writing = os.pipe()
    fcntl.fcntl(writing, PIPE_SIZE, 4096)
    async with recording(Recorder()) as upstream:
        port = free_port()
        settings = {"admin": listener, "upstream": {"urls": [upstream.url]}, "log_level": "debug"}
        settings |= {"listen": {"host": "127.0.0.1", "port": port}, "indices": {"i": {"fields": ["t"]}}}
        (tmp_path / "c.yaml").write_text(json.dumps(settings))
        command = (sys.executable, "-c", SERVE, tmp_path / "c.yaml", "0", "")
        child = await asyncio.create_subprocess_exec(*command, stderr=writing)
        os.close(writing)
        try:
            logged = b""
            while b"listening" not in logged:
                piece = await asyncio.to_thread(os.read, reading, 4096)
                assert piece, logged
                logged += piece
            answers = [await say(port, request("/i/_search?sort=x")) for _ in range(100)]  # each is a line
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            os.close(reading)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
