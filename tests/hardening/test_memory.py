"""Memory of a backend under batches of ever other shapes, each backend in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hardening.memory import growth

from sidecar.scoring.local.backends.memory import Trimming, bound_primitives

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize(
    "words", ["torch --dtype bfloat16", "torch --dtype float32", "onnx", "onnx --dtype int8 --reload --batches 8"]
)
def test_memory_is_flat_once_warm_whatever_shapes_batches_have(words: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hardening.memory", *words.split(), "--windows", "8"]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_growth_is_told_from_noise() -> None:
    assert growth([600, 640, 590, 600, 600, 605, 600, 580]) == 0
    assert growth([100, 200, 300, 400, 500, 600, 700, 800]) == 400


def test_few_primitives_are_kept_unless_the_user_says_how_many() -> None:
    mine: dict[str, str] = {}
    bound_primitives(mine)
    assert mine == {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"):
        theirs = {name: "7", "LRU_CACHE_CAPACITY": "8"}
        bound_primitives(theirs)
        assert theirs == {name: "7", "LRU_CACHE_CAPACITY": "8"}


def test_freed_buffers_are_returned_after_every_sixteenth_batch() -> None:
    calls: list[None] = []
    trimming = Trimming(lambda: calls.append(None))
    for _ in range(33):
        trimming.after_batch()
    assert len(calls) == 2
