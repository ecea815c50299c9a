"""The CPU quota, as containers state it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.scoring.local.cpu import (
    busy_clock,
    computes_bfloat16,
    cpu_flags,
    cpu_quota,
    multiplies_bfloat16_tiles,
    processor,
)

_HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, _HERE),
        ({"cpu.max": "max 100000"}, _HERE),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, min(2, _HERE)),
        ({"cpu.max": "9900000 100000"}, _HERE),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, _HERE),
        ({"cpu/cpu.cfs_quota_us": "10000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "garbage"}, _HERE),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n", (True, False)),
        ("flags : fpu amx_bf16 amx_int8", (True, True)),
        ("flags : fpu avx2 avx512f", (False, False)),
        ("Features : fp asimd", (False, False)),
        ("Features : fp asimd bf16 i8mm", (True, True)),
    ],
)
def test_bfloat16_is_what_the_kernel_names(text: str, expected: tuple[bool, bool], tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert (computes_bfloat16(file), multiplies_bfloat16_tiles(file)) == expected


def test_processors_are_told_apart_by_name_and_flags(tmp_path: Path) -> None:
    texts = ["model name : A\nflags : fpu\n", "model name : B\nflags : fpu\n", "model name : A\nflags : fpu avx2\n", ""]
    names = set()
    for text in texts:
        (tmp_path / "cpuinfo").write_text(text * 2)
        names.add(processor(tmp_path / "cpuinfo"))
    assert len(names) == len(texts)


def test_the_clock_of_what_is_computed_stands_still_for_others_work() -> None:
    clock = busy_clock(2)
    before = clock()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    waited = clock() - before
    while clock() - before < waited + 0.01:  # it goes on with this process's own
        pass


def test_a_kernel_that_names_nothing_computes_nothing_special(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "none") == frozenset()
