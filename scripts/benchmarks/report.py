"""What was measured, and where: percentiles, the machine, JSON files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile of times, in milliseconds."""
    return float(np.percentile(np.asarray(seconds), share)) * 1000


def machine() -> dict[str, Any]:
    """Describe the machine and the revision that was measured."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu.partition(":")[2].strip(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "revision": revision.stdout.strip(),
    }


def write(name: str, figures: dict[str, Any], where: dict[str, Any]) -> Path:
    """Write figures as JSON and give the file."""
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"machine": where, **figures}, indent=2) + "\n")
    return file
