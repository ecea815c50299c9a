"""Whether a backend's memory is flat: batches of ever other shapes, resident memory told at the end of each window.

`PYTHONPATH=scripts python -m hardening.memory torch --dtype bfloat16`: a process of its own, so that nothing else
counts. The largest batch warms everything up. What freed memory the C library keeps for a while depends on the batches
of that moment, so a window is judged by its lowest point; its highest is told beside it. With `--reload` each window
has a model that was loaded anew.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from sidecar.config import model as config
from sidecar.scoring.local.backend import Backend
from sidecar.scoring.local.loaded import load
from sidecar.scoring.local.tokenization import EncodedPair

_MOST, _LONGEST = 24, 120
_WARM_UP = 4  # of the largest batches, and as many windows
_GROWTH = 10 << 20
"""Bytes that the later half of the windows may add to the earlier half, in the median."""


def growth(windows: Sequence[int]) -> int:
    """Return by how many bytes memory grew from the earlier half of the windows to the later."""
    half = len(windows) // 2
    return int(statistics.median(windows[-half:]) - statistics.median(windows[:half]))


def batch(random: Random) -> list[EncodedPair]:
    """Return 1 to 24 pairs of 8 to 120 tokens."""
    return pairs([random.randint(8, _LONGEST) for _ in range(random.randint(1, _MOST))])


def pairs(lengths: Sequence[int]) -> list[EncodedPair]:
    """Return a pair of each length."""
    return [
        EncodedPair(np.arange(5, 5 + length, dtype=np.int32), np.zeros(length, np.int32), bytes([place]))
        for place, length in enumerate(lengths)
    ]


def measured(windows: Iterable[Backend], batches: int, seed: int = 1) -> Iterator[tuple[int, int]]:
    """Run a window of batches on each backend, and yield the lowest and the highest resident bytes of each."""
    random = Random(seed)
    for number, backend in enumerate(windows):
        if number < _WARM_UP:
            backend.start(pairs([_LONGEST] * _MOST))()
        window = [_after(backend, batch(random)) for _ in range(batches)]
        if number >= _WARM_UP:
            yield min(window), max(window)


def backends(chosen: config.Engine, *, reload: bool) -> Generator[Backend]:
    """Yield the backend of a loaded model without end, always the same, or one that is loaded anew each time."""
    while True:
        loaded = load(config.Model(model=chosen.model), chosen)
        try:
            yield loaded.backends[0]
            while not reload:
                yield loaded.backends[0]
        finally:
            loaded.scheduler.close()


def _after(backend: Backend, given: Sequence[EncodedPair]) -> int:
    backend.start(given)()
    return resident()


def resident() -> int:
    """Return this process's resident bytes; Linux alone tells them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Measure one backend and report."""
    parser = argparse.ArgumentParser(prog="python -m hardening.memory", description=__doc__)
    parser.add_argument("backend", choices=("torch", "onnx"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--batches", type=int, default=16, help="in a window")
    parser.add_argument("--reload", action="store_true", help="load the model anew before each window")
    args = parser.parse_args()
    chosen: dict[str, Any] = {"backend": args.backend, "dtype": args.dtype, "token_budget": 1024}
    engine = config.Engine(model=args.model, device="cpu", threads=1, **chosen)
    with contextlib.closing(backends(engine, reload=args.reload)) as endless:
        windows = list(measured(itertools.islice(endless, _WARM_UP + args.windows), args.batches))
    grown = growth([lowest for lowest, _ in windows])
    print("MiB in each window:", *(f"{lowest >> 20}-{highest >> 20}" for lowest, highest in windows))
    print(f"the lowest grew by {grown / (1 << 20):.1f} MiB")
    return 1 if grown > _GROWTH else 0


if __name__ == "__main__":
    raise SystemExit(main())
