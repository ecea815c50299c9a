"""The torch backend: any Hugging Face sequence classifier, on CUDA in bf16 where there is one, else the CPU."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sidecar.config.model import Engine
from sidecar.errors import BackendFailed, ModelError
from sidecar.scoring.backend import padded
from sidecar.scoring.backends.packed import PackedModel, supported
from sidecar.scoring.cpu import cpu_quota
from sidecar.scoring.heads import declared_labels
from sidecar.scoring.loading import ModelFiles
from sidecar.scoring.tokenization import EncodedPair

_CPU_BUDGET = 2048
_CUDA_BUDGET = 65_536


class TorchBackend:
    """Runs a model with torch. ``labels`` is the width of its head."""

    def __init__(self, files: ModelFiles, engine: Engine) -> None:
        self.device = _device(engine.device)
        self.dtype, self._why = _dtype(engine.dtype, self.device)
        self._model = _load(files).to(self.device, self.dtype)
        _keep_head_in_fp32(self._model)
        self.labels = int(self._model.config.num_labels)
        self._pad = int(self._model.config.pad_token_id or 0)
        self._takes_types = "token_type_ids" in inspect.signature(self._model.forward).parameters
        self._budget = _CUDA_BUDGET if self.device.type == "cuda" else _CPU_BUDGET
        self._packed: PackedModel | None = None
        if self.device.type == "cpu":
            torch.set_num_threads(engine.threads or cpu_quota())
            with torch.inference_mode():
                self._packed = PackedModel(self._model) if supported(self._model) else None

    def token_budget(self) -> int:
        """Give the padded tokens of a good batch; halved for good after the device ran out of memory."""
        return self._budget

    def describe(self) -> dict[str, Any]:
        """Say what runs."""
        return {
            "backend": "torch",
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "attention": "unpadded" if self._packed else "padded",
            "why": self._why,
            "token_budget": self._budget,
        }

    def logits(self, pairs: Sequence[EncodedPair]) -> npt.NDArray[np.float32]:
        """Run the model: `(pairs, labels)` fp32 logits.

        Raises:
            BackendFailed: the model raised.
        """
        try:
            return self._run(pairs)
        except torch.cuda.OutOfMemoryError as problem:
            if len(pairs) == 1:
                raise BackendFailed(f"one pair does not fit the device: {problem}") from problem
        torch.cuda.empty_cache()
        self._budget = max(256, self._budget // 2)
        half = len(pairs) // 2
        return np.concatenate([self.logits(pairs[:half]), self.logits(pairs[half:])])

    @torch.inference_mode()
    def _run(self, pairs: Sequence[EncodedPair]) -> npt.NDArray[np.float32]:
        if self._packed is not None:
            unpadded: npt.NDArray[np.float32] = self._packed.logits(pairs).float().numpy()
            return unpadded
        names = ("input_ids", "token_type_ids", "attention_mask")
        tensors = dict(zip(names, map(self._to_device, padded(pairs, self._pad)), strict=True))
        if not self._takes_types:
            del tensors["token_type_ids"]
        logits: torch.Tensor = self._model(**tensors).logits
        found: npt.NDArray[np.float32] = logits.float().cpu().numpy()
        return found

    def _to_device(self, values: npt.NDArray[np.int64]) -> torch.Tensor:
        tensor = torch.from_numpy(values)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"engine.device is {wanted}, but torch sees no CUDA device: use `auto` or `cpu`")
    return device


def _dtype(wanted: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Give the arithmetic, and why."""
    if wanted == "int8":
        raise ModelError("engine.dtype int8 needs `engine.backend: onnx`")
    if wanted != "auto":
        return getattr(torch, wanted), "engine.dtype says so"
    if device.type != "cuda":
        return _cpu_dtype()
    if torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16, "the device computes in bfloat16"
    return torch.float16, "the device is older than bfloat16"


def _cpu_dtype() -> tuple[torch.dtype, str]:
    """bfloat16 halves the time where the CPU multiplies it natively, and is slower than float32 where not."""
    native = [name for name in ("amx_bf16", "avx512_bf16") if torch.cpu.get_capabilities().get(name)]
    if native:
        return torch.bfloat16, f"the CPU has {native[0]}"
    return torch.float32, "the CPU has no bfloat16 arithmetic"


def _load(files: ModelFiles) -> Any:
    """Load the weights through transformers; pickled ones as plain tensors only.

    Raises:
        ModelError: they cannot be loaded, or the head is not in them.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped; a bar of milliseconds has no place in a service's log
    safetensors = any(files.directory.glob("*.safetensors"))
    labels = declared_labels(files.config())
    options: dict[str, Any] = {} if labels is not None else {"num_labels": _labels_in_weights(files)}
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            files.directory,
            trust_remote_code=False,
            use_safetensors=safetensors,
            attn_implementation="sdpa",
            output_loading_info=True,
            dtype=torch.float32,
            **options,
        )
    except Exception as problem:
        raise ModelError(f"the model {files.name!r} in {files.directory} cannot be loaded: {problem}") from problem
    fresh = [name for name in report["missing_keys"] if "classifier" in name or "out_proj" in name]
    if fresh:
        raise ModelError(f"the model {files.name!r} has no trained ranking head ({', '.join(sorted(fresh))} missing)")
    return model.eval()


def _keep_head_in_fp32(model: Any) -> None:
    """Compute the head in fp32 whatever the encoder runs in: bfloat16 logits have 8 bits, and would tie many hits."""

    def widen(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(value.float() for value in inputs)

    base = getattr(model, model.base_model_prefix)
    for head in (getattr(base, "pooler", None), getattr(model, "pre_classifier", None), model.classifier):
        if head is not None:
            head.float().register_forward_pre_hook(widen)


def _labels_in_weights(files: ModelFiles) -> int:
    """Give the width of the classifier, for configurations of old that do not say it."""
    from safetensors import safe_open

    for file in files.directory.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118 - no dict
            return _classifier_width(shapes)
    for file in files.directory.glob("pytorch_model*.bin"):
        state = torch.load(file, weights_only=True, map_location="cpu")
        return _classifier_width({name: list(value.shape) for name, value in state.items()})
    raise ModelError(f"{files.directory} holds no weights")


def _classifier_width(shapes: dict[str, Any]) -> int:
    for name in ("classifier.out_proj.weight", "classifier.weight"):
        if name in shapes:
            return int(shapes[name][0])
    raise ModelError("the weights hold no classifier: not a cross-encoder")
