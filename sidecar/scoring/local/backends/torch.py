"""The torch backend: any Hugging Face sequence classifier, on one CUDA device or the CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sidecar.config.model import Engine
from sidecar.errors import BackendFailed, ModelError
from sidecar.scoring.local.backend import FINE_GRID, Logits, Pending
from sidecar.scoring.local.backends.memory import Trimming, bound_primitives
from sidecar.scoring.local.backends.packed import PackedModel, supported
from sidecar.scoring.local.backends.race import Lap, choice, race
from sidecar.scoring.local.backends.runners import GraphRunner, PaddedRunner, Runner, UnpaddedRunner
from sidecar.scoring.local.backends.torch_model import dtype_of, keep_head_in_fp32, load_model
from sidecar.scoring.local.cpu import cpu_quota
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.models.files import ModelFiles

_CPU_BUDGETS = (1024, 2048, 4096)
_CUDA_BUDGETS = (8192, 16_384, 32_768, 65_536, 131_072)
_RACED_TOKENS = (512, 4096, 16_384, 65_536)
_ROUNDING = 0.1  # of the logits' spread: what half precision may change
_LEAST_BUDGET = 256
_CUDA_GRIDS = {torch.float32: 2.0**-10, torch.float16: 2.0**-7, torch.bfloat16: 2.0**-4}


def devices(wanted: str) -> list[torch.device]:
    """Return the devices that `engine.device` names: `cuda` and `auto` take every GPU there is.

    Raises:
        ModelError: there is no such device.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as problem:
        raise ModelError(f"engine.device is {wanted!r}: use `auto`, `cpu`, `cuda` or `cuda:N`") from problem
    if device.type != "cuda":
        return [device]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise ModelError(f"engine.device is {wanted}, but torch sees no CUDA device: use `auto` or `cpu`")
    if device.index is None:
        return [torch.device("cuda", number) for number in range(count)]
    if device.index >= count:
        raise ModelError(f"engine.device is {wanted}, but torch sees {count} CUDA device(s), numbered from 0")
    return [device]


class TorchBackend:
    """Runs a model with torch on ``device``; ``longest`` is how many tokens a pair may have."""

    def __init__(self, files: ModelFiles, engine: Engine, device: torch.device, longest: int) -> None:
        self.device = device
        self.dtype, self._why = dtype_of(engine.dtype, device)
        self._trimming = Trimming() if device.type == "cpu" else None
        if device.type == "cpu":
            bound_primitives(os.environ)
            torch.set_num_threads(engine.threads or cpu_quota())
        model = load_model(files).to(device, self.dtype)
        keep_head_in_fp32(model)
        self.labels = int(model.config.num_labels)
        self.budgets: Sequence[int] = _CUDA_BUDGETS if device.type == "cuda" else _CPU_BUDGETS
        self.budget = self.budgets[len(self.budgets) // 2]
        self.depth = 2 if device.type == "cuda" else 1
        self.grid = _grid(device, self.dtype)
        self._out_of_memory = 0
        with torch.inference_mode():
            self._runners = {runner.name: runner for runner in _runners(model, device)}
        self._laps: list[tuple[int, Lap]] = []
        if len(self._runners) > 1:
            self._laps = [(tokens, self._race(sample_pairs(tokens, longest))) for tokens in _RACED_TOKENS]
        if self._trimming is not None:  # loading freed much, as does a model that went before
            self._trimming.now()

    def _race(self, sample: Sequence[EncodedPair]) -> Lap:
        def logits(runner: Runner, pairs: Sequence[EncodedPair]) -> Logits:
            with torch.inference_mode(), _on(self.device):
                return _computed(runner(pairs))

        ways = {name: lambda pairs, r=runner: logits(r, pairs) for name, runner in self._runners.items()}
        return race(ways, sample, _ROUNDING, time.monotonic)

    def describe(self) -> dict[str, Any]:
        """Say what runs."""
        raced = {
            f"up to {size} tokens": {"fastest": lap.fastest, "ms": _milliseconds(lap), "out": dict(lap.out)}
            for size, lap in self._laps
        }
        return {
            "backend": "torch",
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "attention": raced or next(iter(self._runners)),
            "why": self._why,
            "token_budget": self.budget,
        }

    def stats(self) -> dict[str, float]:
        """Return how often the device ran out of memory."""
        return {"out_of_memory_total": self._out_of_memory}

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        """Start a batch; on the CPU it is done when this returns.

        Raises:
            BackendFailed: one pair alone does not fit the device.
        """
        try:
            with torch.inference_mode(), _on(self.device):
                pending = _pending(self._runner(pairs)(pairs))
        except torch.cuda.OutOfMemoryError as problem:
            if len(pairs) == 1:
                raise BackendFailed(f"one pair does not fit the device: {problem}") from problem
            return self._halved(pairs)
        if self._trimming is not None:
            self._trimming.after_batch()
        return pending

    def _halved(self, pairs: Sequence[EncodedPair]) -> Pending:
        """Run a batch that did not fit as two, and form smaller ones from now on."""
        self._out_of_memory += 1
        self.budget = max(_LEAST_BUDGET, self.budget // 2)
        torch.cuda.empty_cache()
        half = len(pairs) // 2
        found = np.concatenate([self.start(part)() for part in (pairs[:half], pairs[half:])])
        return lambda: found

    def _runner(self, pairs: Sequence[EncodedPair]) -> Runner:
        if not self._laps:
            return next(iter(self._runners.values()))
        return self._runners[choice(self._laps, sum(map(len, pairs)))]


def _grid(device: torch.device, dtype: torch.dtype) -> float:
    """Return what scores are rounded to; on CUDA, every shape of batch may have a kernel of its own."""
    if device.type == "cpu":
        return FINE_GRID
    return _CUDA_GRIDS[dtype]


def _runners(model: Any, device: torch.device) -> list[Runner]:
    """Return the ways to run a model; on the CPU a BERT-class model runs unpadded, which wins at every size."""
    if not supported(model):
        return [PaddedRunner(model, device)]
    if device.type == "cpu":
        return [UnpaddedRunner(PackedModel(model), device)]
    packed = PackedModel(model, head_multiple=8)
    unpadded = UnpaddedRunner(packed, device)
    with _on(device):
        return [PaddedRunner(model, device), unpadded, GraphRunner(packed, device, unpadded)]


def _on(device: torch.device) -> Any:
    """Make a CUDA device the current one; -1, and so the CPU, changes nothing."""
    return torch.cuda.device(device if device.type == "cuda" else -1)


def _pending(logits: torch.Tensor) -> Pending:
    """Start copying logits to the host, and give what waits for them."""
    if logits.device.type == "cpu":
        return lambda: _computed(logits)
    host = torch.empty(logits.shape, dtype=torch.float32, pin_memory=True)
    host.copy_(logits, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types here
    done.record()

    def wait() -> Logits:
        done.synchronize()
        found: Logits = host.numpy()
        return found

    return wait


def _computed(logits: torch.Tensor) -> Logits:
    found: Logits = logits.float().cpu().numpy()
    return found


def _milliseconds(lap: Lap) -> dict[str, float]:
    return {name: round(seconds * 1000, 2) for name, seconds in lap.seconds.items()}
