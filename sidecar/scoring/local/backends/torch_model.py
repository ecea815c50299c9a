"""Loads a sequence classifier through transformers, and chooses the arithmetic it runs in."""

from __future__ import annotations

from typing import Any

import torch

from sidecar.errors import ModelError
from sidecar.scoring.models.files import ModelFiles
from sidecar.scoring.models.heads import declared_labels


def dtype_of(wanted: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return the arithmetic, and why.

    Raises:
        ModelError: torch does not compute in it here.
    """
    if wanted == "int8":
        raise ModelError("engine.dtype int8 needs `engine.backend: onnx`")
    if wanted != "auto":
        return getattr(torch, wanted), "engine.dtype says so"
    if device.type != "cuda":
        return torch.float32, "exact on every CPU"
    if torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16, "the device computes in bfloat16"
    return torch.float16, "the device is older than bfloat16"


def load_model(files: ModelFiles) -> Any:
    """Load the weights in fp32, pickled ones as plain tensors only.

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


def keep_head_in_fp32(model: Any) -> None:
    """Compute the head in fp32 whatever the encoder runs in: bfloat16 logits have 8 bits, and would tie many hits."""

    def widen(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(value.float() for value in inputs)

    base = getattr(model, model.base_model_prefix)
    for head in (getattr(base, "pooler", None), getattr(model, "pre_classifier", None), model.classifier):
        if head is not None:
            head.float().register_forward_pre_hook(widen)


def _labels_in_weights(files: ModelFiles) -> int:
    """Return the width of the classifier, for configurations of old that do not say it."""
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
