"""`scripts/bench NAME [arguments]`: find the benchmark and run it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_NAMES = sorted(p.stem for p in Path(__file__).parent.glob("bench_*.py"))


def main(words: list[str]) -> int:
    """Run one benchmark and give its exit code."""
    names = [name.removeprefix("bench_") for name in _NAMES]
    if not words or words[0] not in names:
        print(f"usage: scripts/bench {'|'.join(names)} [--help]", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"benchmarks.bench_{words[0]}").main(words[1:]))


sys.exit(main(sys.argv[1:]))
