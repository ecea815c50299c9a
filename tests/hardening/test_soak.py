"""The short version of `scripts/soak`, on a real node."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hardening.soak import Left, Report, prepare, soak

from tests.checkpoints import make_checkpoint


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and descriptors are read from Linux's /proc")
async def test_mixed_load_with_disconnects_and_restarts_leaves_nothing_behind(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    prepare(elasticsearch_url, documents=500)
    report = await soak(elasticsearch_url, str(make_checkpoint(tmp_path)), lambda cycles: cycles < 3, seconds=1.5)
    assert report.faults() == []


def test_what_is_left_over_is_told() -> None:
    before = Left(tasks=1, clients=0, upstream=0, descriptors=10, memory=1 << 30)
    after = Left(tasks=2, clients=3, upstream=4, descriptors=11, memory=2 << 30)
    assert Report(left=[before, before, after]).faults() == [
        "tasks: 1 became 2",
        "3 client connections are left",
        "4 upstream requests are under way",
        "descriptors: 10 became 11",
        "memory: 1024 MiB became 2048 MiB",
        "no search was rescored: {}",
    ]
