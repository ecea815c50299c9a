"""The line that says at start what searches can expect."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sidecar.app import running
from sidecar.config.model import Config
from sidecar.scoring.expectation import expectation
from tests.checkpoints import make_checkpoint


@pytest.mark.parametrize(
    ("tokens_per_second", "window", "timeout", "expected"),
    [
        (24_000, 100, 0.5, "100 hits take about 0.3 s here; 4 searches at a time get about 44 hits each within 500 ms"),
        (3_000, 50, 2.0, "50 hits take about 1.1 s here; 4 searches at a time get about 22 hits each within 2000 ms"),
        (400, 100, 0.5, "100 hits take about 17 s here; 4 searches at a time get about 0 hits each within 500 ms"),
        (4e6, 100, 0.5, "100 hits take about 0.002 s here; 4 searches at a time get about 100 hits each within 500 ms"),
    ],
)
def test_an_estimate(tokens_per_second: float, window: int, timeout: float, expected: str) -> None:
    assert expectation("bundled", tokens_per_second, window, timeout) == f"bundled: {expected}"


async def test_the_log_says_at_start_what_each_mapped_model_can_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, unmapped = (str(make_checkpoint(tmp_path / name)) for name in ("first", "second", "unmapped"))
    mappings = {
        "a": {"fields": ["t"], "timeout": "2s"},
        "b": {"fields": ["t"], "window_size": 30, "timeout": "300ms"},
        "c": {"fields": ["t"], "model": "other", "window_size": 7},
    }
    engine = {"model": first, "threads": 1, "models": {"other": {"model": second}, "no": {"model": unmapped}}}
    listener = {"host": "127.0.0.1", "port": 0}
    settings = {"listen": listener, "admin": listener, "indices": mappings, "engine": engine}
    with caplog.at_level(logging.INFO):
        async with running(Config.model_validate(settings)) as sidecar:
            told = sidecar.describe()["engine"]
    said = [line for line in caplog.messages if "searches at a time get about" in line]
    assert len(said) == 2
    assert f"{first}: 30 hits take about" in said[0]
    assert said[0].endswith("within 300 ms")
    assert f"{second}: 7 hits take about" in said[1]
    assert all(told[model]["tokens_per_second"] > 0 for model in (first, second, unmapped))
