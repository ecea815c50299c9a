"""The ways to run a model on this machine that have a chance to be the fastest. Decided without importing torch.

A way is what runs the model and the arithmetic it runs in; which one is fastest is measured (``contest``). Torch takes
seconds to import, and on a CPU it can win where the CPU multiplies bfloat16 in tiles (AMX, Arm's BFMMLA) or where
nothing else runs the model; elsewhere ONNX Runtime was faster wherever both were measured (docs/performance.md).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidecar.config.model import Engine
from sidecar.errors import ModelError
from sidecar.scoring.local.backends.onnx_weights import exportable
from sidecar.scoring.local.cpu import computes_bfloat16, multiplies_bfloat16_tiles
from sidecar.scoring.models.files import INSTALL_TORCH, ModelFiles

Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]
_TORCH = ("torch", "transformers")


@dataclass(frozen=True, slots=True)
class Way:
    """What runs a model, and in which arithmetic; `auto` is for torch to choose by its GPU."""

    backend: Literal["torch", "onnx"]
    dtype: Dtype

    def __str__(self) -> str:
        return f"{self.backend} {self.dtype}"


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways worth trying, those with the most exact arithmetic first, and why these."""

    ways: tuple[Way, ...]
    why: str


def ways(files: ModelFiles, engine: Engine) -> Ways:
    """Return the ways to try.

    Raises:
        ModelError: the model's configuration cannot be read, or only torch can run it here and is not installed.
    """
    if engine.backend == "onnx":
        return Ways(_onnx(engine), "engine.backend says so")
    needed = _needs_torch(files, engine)
    if torch_installed():
        return Ways(torch_ways(engine), needed) if needed else _both(engine)
    if needed:
        raise ModelError(f"{files.name} needs the extra `torch` ({needed}): {INSTALL_TORCH}")
    unused = ", so the GPU is not used" if engine.device == "auto" and sees_gpu() else ""
    return Ways(_onnx(engine), f"the extra `torch` is not installed{unused}")


def _needs_torch(files: ModelFiles, engine: Engine) -> str | None:
    """Return why nothing but torch will do, None where ONNX Runtime does."""
    if engine.backend == "torch":
        return "engine.backend says so"
    if engine.device not in ("auto", "cpu"):
        return f"engine.device is {engine.device}"
    if engine.dtype in ("bfloat16", "float16"):
        return f"engine.dtype is {engine.dtype}"
    if engine.dtype != "int8" and not exportable(files.config()):
        return f"only torch runs models of type {files.config().get('model_type')!r}"
    return None


def _both(engine: Engine) -> Ways:
    if engine.device == "auto" and sees_gpu():
        return Ways(torch_ways(engine), "there is a GPU")
    if engine.dtype == "int8":
        return Ways(_onnx(engine), "engine.dtype is int8")
    if engine.dtype == "auto" and multiplies_bfloat16_tiles():
        return Ways((*_onnx(engine), Way("torch", "bfloat16")), "the CPU multiplies bfloat16 in tiles")
    return Ways(_onnx(engine), "torch has no chance to win on this CPU")


def _onnx(engine: Engine) -> tuple[Way, ...]:
    return (Way("onnx", "float32" if engine.dtype == "auto" else engine.dtype),)


def torch_ways(engine: Engine) -> tuple[Way, ...]:
    """Return torch's ways; on a GPU the one that it chooses by the device."""
    on_gpu = engine.device not in ("auto", "cpu") or (engine.device == "auto" and sees_gpu())
    if engine.dtype != "auto" or on_gpu:
        return (Way("torch", engine.dtype),)
    half = (Way("torch", "bfloat16"),) if computes_bfloat16() else ()
    return (Way("torch", "float32"), *half)


def torch_installed() -> bool:
    """Return whether what runs models with torch is installed."""
    return _installed(*_TORCH)


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def sees_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether the kernel shows an NVIDIA GPU, its driver's or WSL's device; whether it works, torch will say."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()
