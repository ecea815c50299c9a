"""`sidecar serve` with a model and a tokenizer that can be spoiled from outside: `python -m hardening.faults.inside`.

Arguments: the configuration, a file that says which fault is on, and limits of resources as JSON. Everything is the
real program; only what no real model can be asked to do is put between the engine and its model. So that a run takes
minutes, a hanging batch is given up after 2 seconds, not 60, and a circuit is open for half a second, not 5.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.rescoring.circuit_breaker import CircuitBreaker
from sidecar.scoring.local import engine, loaded
from sidecar.scoring.local.scheduler import Scheduler

PATIENCE = 2.0
_COOL_DOWN = 0.5
_TURN = 0.01


class Switch:
    """Says which fault is on: the word in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> str:
        """Return the fault's name, an empty one for none."""
        try:
            return self._file.read_text()
        except FileNotFoundError:
            return ""

    def hold(self, name: str) -> None:
        """Hang for as long as this fault is on."""
        while self() == name:
            time.sleep(_TURN)


def _raise(problem: BaseException) -> Any:
    raise problem


def _spoiled_backend(backend: Any, scheduler: Callable[[], Any], on: Switch) -> None:
    start = backend.start

    def spoiled(pairs: Sequence[Any]) -> Callable[[], Any]:
        fault = on()
        if fault == "model starts to raise":
            raise RuntimeError("injected")
        if fault == "model ends its thread":
            scheduler()._workers[0].abandoned = True
        if fault == "model exits":
            raise SystemExit("injected")
        pending = start(pairs)
        return lambda: _logits(fault, pending, on)

    backend.start = spoiled


def _logits(fault: str, pending: Callable[[], Any], on: Switch) -> Any:
    if fault.startswith("model slow "):
        time.sleep(float(fault.rpartition(" ")[2]))
    on.hold("model hangs")
    logits = pending()
    spoil: dict[str, Callable[[], Any]] = {
        "model raises": lambda: _raise(RuntimeError("injected")),
        "model out of memory": lambda: _raise(MemoryError()),
        "model nan": lambda: np.full_like(logits, np.nan),
        "model one nan": lambda: np.concatenate([np.full_like(logits[:1], np.nan), logits[1:]]),
        "model infinite": lambda: np.full_like(logits, np.inf),
        "model too few": lambda: logits[:-1],
        "model too many": lambda: np.concatenate([logits, logits]),
        "model none": lambda: logits[:0],
        "model of another shape": lambda: logits.reshape(-1),
        "model nothing": lambda: None,
    }
    return spoil.get(fault, lambda: logits)()


def _spoiled_tokenizer(tokenizer: Any, on: Switch) -> None:
    encode = tokenizer.encode

    def spoiled(*args: Any) -> Any:
        if on() == "tokenizer raises":
            raise RuntimeError("injected")
        if on() == "tokenizer gives too few":
            return encode(*args)[:-1]
        if on().startswith("tokenizer slow "):
            time.sleep(float(on().rpartition(" ")[2]))
        on.hold("tokenizer hangs")
        return encode(*args)

    tokenizer.encode = spoiled


def spoil(on: Switch) -> None:
    """Put the faults between the engine and its models."""
    before = Scheduler.__init__.__defaults__ or ()
    Scheduler.__init__.__defaults__ = (*before[:-1], PATIENCE)
    breaking = CircuitBreaker.__init__.__kwdefaults__ or {}
    breaking["cool_down"] = _COOL_DOWN

    def load(*args: Any) -> loaded.Loaded:
        on.hold("loading hangs")
        found = loaded.load(*args)
        for backend in found.backends:
            _spoiled_backend(backend, lambda: found.scheduler, on)
        _spoiled_tokenizer(found.tokenizer, on)
        return found

    setattr(engine, "load", load)  # noqa: B010 - a name that the module imports


def main() -> int:
    """Serve."""
    config, switch, limits = sys.argv[1:]
    for name, limit in json.loads(limits).items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1] if name == "RLIMIT_FSIZE" else limit  # that one may be raised again
        resource.setrlimit(which, (limit, hard))
    spoil(Switch(Path(switch)))
    from sidecar.cli import main as run

    return int(run(["serve", config]) or 0)


if __name__ == "__main__":
    sys.exit(main())
