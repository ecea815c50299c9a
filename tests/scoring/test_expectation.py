"""The line that says at start what searches can expect."""

from __future__ import annotations

import pytest

from sidecar.scoring.expectation import expectation


@pytest.mark.parametrize(
    ("tokens_per_second", "window", "timeout", "expected"),
    [
        (24_000, 100, 0.5, "100 hits take about 0.3 s here; 4 searches at a time get about 45 hits each within 500 ms"),
        (3_000, 50, 2.0, "50 hits take about 1.1 s here; 4 searches at a time get about 22 hits each within 2000 ms"),
        (400, 100, 0.5, "100 hits take about 17 s here; 4 searches at a time get about 0 hits each within 500 ms"),
        (4e6, 100, 0.5, "100 hits take about 0.002 s here; 4 searches at a time get about 100 hits each within 500 ms"),
    ],
)
def test_an_estimate(tokens_per_second: float, window: int, timeout: float, expected: str) -> None:
    assert expectation("bundled", tokens_per_second, window, timeout) == f"bundled: {expected}"
