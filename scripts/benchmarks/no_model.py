"""A stand-in for a model that takes no time, and `serve` with it: `python -m benchmarks.no_model CONFIG`.

What is left is what the host does for a search, whatever device scores.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.scoring.local import loaded
from sidecar.scoring.local.backend import FINE_GRID, Logits, Pending
from sidecar.scoring.local.contest import Started
from sidecar.scoring.local.laps import Record
from sidecar.scoring.local.tokenization import EncodedPair

_SPEED = 1e9  # tokens a second
_CHILD = "--child"


class NoModel:
    """A stand-in backend: a pair's logit is its length."""

    labels = 1
    budget = 1 << 14
    budgets: Sequence[int] = (1 << 14,)
    depth = 1
    grid = FINE_GRID

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        """Return lengths."""
        logits: Logits = np.array([[len(pair) / 64 - len(pair) % 7] for pair in pairs], dtype=np.float32)
        return lambda: logits

    def describe(self) -> dict[str, Any]:
        """Say that it is none."""
        return {"backend": "a stand-in that takes no time"}

    def stats(self) -> dict[str, float]:
        """Count nothing."""
        return {}


def install() -> None:
    """Have every model of this process be the stand-in."""
    record = Record(fastest="none", token_budget=NoModel.budget, tokens_per_second=_SPEED)
    started = Started([NoModel()], record, "a stand-in", speeds=[_SPEED])
    vars(loaded)["start"] = lambda *_: started


def main(words: list[str]) -> int:
    """Serve, or be a child of the process that does."""
    from sidecar.app import serve
    from sidecar.config.loader import load
    from sidecar.workers import child, serving

    install()
    if words[0] == _CHILD:
        return child.main(int(words[1]))
    config = load(Path(words[0]), {})
    count = serving.worker_count(config)
    command = (sys.executable, "-m", "benchmarks.no_model", _CHILD)
    return serve(config) if count == 1 else serving.serve(config, None, count, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
