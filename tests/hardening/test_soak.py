"""The short version of `scripts/soak`, on a real node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hardening.soak import Left, Report

from tests.checkpoints import make_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and descriptors are read from Linux's /proc")
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_mixed_load_with_disconnects_and_restarts_leaves_nothing_behind(
    elasticsearch_url: str, tmp_path: Path, backend: str
) -> None:
    options = {
        "elasticsearch": elasticsearch_url,
        "model": str(make_checkpoint(tmp_path)),
        "backend": backend,
        "documents": "500",
        "acts": "150",
        "minutes": "0",
    }
    command = [sys.executable, "-m", "hardening.soak", *(f"--{name}={value}" for name, value in options.items())]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_is_left_over_is_told() -> None:
    before = Left(tasks=1, clients=0, upstream=0, descriptors=10, memory=1 << 30)
    after = Left(tasks=2, clients=3, upstream=4, descriptors=11, memory=2 << 30)
    assert Report(left=[before] * 4 + [after] * 2).faults() == [
        "tasks: 1 became 2",
        "3 client connections are left",
        "4 upstream requests are under way",
        "descriptors: 10 became 11",
        "memory: MiB after the cycles [1024, 1024, 2048, 2048]",
        "no search was rescored: {}",
    ]
