"""What this process may use of the CPU: its affinity, the quota of its container, and what the CPU computes in."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def cpu_quota(cgroup: Path = _CGROUP) -> int:
    """Return the whole number of CPUs to use, at least one.

    More threads than the quota are worse than useless: the kernel stops all of them together once it is spent.
    Source: Linux's cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us`) documentation.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        limit, period = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    if not limit.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(limit) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def busy_clock(threads: int) -> Callable[[], float]:
    """Return a clock of the seconds that this process computed with so many threads: what others do does not count.

    Pools of threads spin while they wait, so on a machine with nothing else to do it goes as fast as any other clock.
    """
    return lambda: time.process_time() / threads


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the instruction sets that the kernel names, none where it does not."""
    for line in _read(cpuinfo).splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):  # Arm's kernels say "Features"
            return frozenset(flags.split())
    return frozenset()


def processor(cpuinfo: Path = _CPUINFO) -> str:
    """Return what tells this kind of processor from others: its name, where the kernel tells it, and what it can do."""
    names = {line.partition(":")[2].strip() for line in _read(cpuinfo).splitlines() if line.startswith("model name")}
    return "|".join([platform.machine(), *sorted(names), *sorted(cpu_flags(cpuinfo))])


def multiplies_bfloat16_tiles(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the CPU multiplies tiles of bfloat16, several times as fast as float32: AMX, Arm's BFMMLA."""
    return not cpu_flags(cpuinfo).isdisjoint({"amx_bf16", "bf16"})


def computes_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the CPU multiplies bfloat16 natively."""
    return not cpu_flags(cpuinfo).isdisjoint({"amx_bf16", "avx512_bf16", "bf16"})
