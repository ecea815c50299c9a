"""Which backend runs a model where `engine.backend` is `auto`, and why. Decided without importing torch.

Measured (docs/performance.md): torch on GPUs; torch in bfloat16 on CPUs that multiply it natively; on all other CPUs
ONNX Runtime in fp32, for the families that it can run. int8 is faster still and never chosen unasked: its activations
are quantized batch by batch, so a hit's score depends on its neighbours, and two pages of one list could disagree.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from sidecar.config.model import Engine
from sidecar.errors import ModelError
from sidecar.scoring.local.backends.onnx_weights import exportable
from sidecar.scoring.local.cpu import computes_bfloat16
from sidecar.scoring.models.files import INSTALL_TORCH, ModelFiles

Choice = tuple[Literal["torch", "onnx"], str]
_TORCH = ("torch", "transformers")


def chosen(files: ModelFiles, engine: Engine) -> Choice:
    """Return the backend, and why.

    Raises:
        ModelError: the model's configuration cannot be read, or only torch can run it here and is not installed.
    """
    if engine.backend == "onnx":
        return "onnx", "engine.backend says so"
    needed = _needs_torch(files, engine)
    if _installed(*_TORCH):
        return ("torch", needed) if needed else _fastest(engine)
    if needed:
        raise ModelError(f"{files.name} needs the extra `torch` ({needed}): {INSTALL_TORCH}")
    unused = ", so the GPU is not used" if engine.device == "auto" and sees_gpu() else ""
    return "onnx", f"the extra `torch` is not installed{unused}"


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


def _fastest(engine: Engine) -> Choice:
    if engine.device == "auto" and sees_gpu():
        return "torch", "there is a GPU"
    if engine.dtype == "int8":
        return "onnx", "engine.dtype is int8"
    if engine.dtype == "auto" and computes_bfloat16():
        return "torch", "the CPU computes in bfloat16"
    return "onnx", "the fastest in fp32 on a CPU"


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def sees_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether the kernel shows an NVIDIA GPU, its driver's or WSL's device; whether it works, torch will say."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()
