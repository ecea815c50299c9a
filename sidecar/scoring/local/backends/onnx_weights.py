"""BERT-class weights by what they do, read from a checkpoint's files without torch where they are safetensors.

Names differ between families and ages (`gamma` for `weight`); here they become one set:
`word`, `position`, `type`, `norm`, `project`, then per layer `q k v attended norm1 up down norm2`, then the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.errors import ModelError
from sidecar.scoring.models.files import INSTALL_TORCH, ModelFiles

Array = npt.NDArray[np.float32]
_ROBERTA = frozenset({"roberta", "xlm-roberta", "camembert"})
ACTIVATIONS = frozenset({"gelu", "gelu_python"})
FAMILIES = frozenset({"bert", "electra", "distilbert"}) | _ROBERTA
_BERT_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "attended": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm2": "output.LayerNorm",
}
_DISTIL_LAYER = {
    "q": "attention.q_lin",
    "k": "attention.k_lin",
    "v": "attention.v_lin",
    "attended": "attention.out_lin",
    "norm1": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm2": "output_layer_norm",
}
# The dense layer before the classifier, its activation, and the classifier.
_HEADS = {
    "bert": ("bert.pooler.dense", "Tanh", "classifier"),
    "electra": ("classifier.dense", "Gelu", "classifier.out_proj"),
    "distilbert": ("pre_classifier", "Relu", "classifier"),
    "roberta": ("classifier.dense", "Tanh", "classifier.out_proj"),
}


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint's tensors, fp32, by family-independent names."""

    family: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Array]

    @property
    def layers(self) -> int:
        """How many encoder layers there are."""
        return int(self.settings["n_layers" if self.family == "distilbert" else "num_hidden_layers"])

    @property
    def heads(self) -> int:
        """How many attention heads a layer has."""
        return int(self.settings["n_heads" if self.family == "distilbert" else "num_attention_heads"])

    @property
    def activation(self) -> str:
        """The feed-forward activation's name in transformers."""
        return str(self.settings.get("activation" if self.family == "distilbert" else "hidden_act", "gelu"))

    @property
    def epsilon(self) -> float:
        """The layer norms' epsilon."""
        return float(self.settings.get("layer_norm_eps", 1e-12))

    @property
    def head(self) -> tuple[str, str, str]:
        """The dense layer before the classifier, its activation, and the classifier."""
        return _HEADS[self.family]

    def layer(self, number: int, part: str) -> tuple[Array, Array]:
        """Return weight and bias of a part of a layer."""
        if self.family == "distilbert":
            return self.pair(f"distilbert.transformer.layer.{number}.{_DISTIL_LAYER[part]}")
        return self.pair(f"{self.family}.encoder.layer.{number}.{_BERT_LAYER[part]}")

    def embedding(self, part: str) -> Array | None:
        """Return an embedding table: `word`, `position` or `token_type`; None where the family has none."""
        return self.tensors.get(f"{self.family}.embeddings.{part}_embeddings.weight")

    def pair(self, name: str) -> tuple[Array, Array]:
        """Return weight and bias by name.

        Raises:
            ModelError: the checkpoint has none.
        """
        weight = self.tensors.get(f"{name}.weight", self.tensors.get(f"{name}.gamma"))
        bias = self.tensors.get(f"{name}.bias", self.tensors.get(f"{name}.beta"))
        if weight is None or bias is None:
            raise ModelError(f"the checkpoint has no {name}: it cannot be exported; use `engine.backend: torch`")
        return weight, bias


def exportable(settings: Mapping[str, Any]) -> bool:
    """Return whether a model of this config.json can be run by the onnx backend."""
    weights = Weights("", settings, {})
    absolute = settings.get("position_embedding_type", "absolute") == "absolute"
    return settings.get("model_type") in FAMILIES and absolute and weights.activation in ACTIVATIONS


def read(files: ModelFiles) -> Weights:
    """Read a checkpoint.

    Raises:
        ModelError: its family cannot be exported, or its files cannot be read.
    """
    settings = files.config()
    kind = str(settings.get("model_type"))
    if kind not in FAMILIES:
        raise ModelError(
            f"the model {files.name!r} is of type {kind!r}, which the onnx backend cannot export "
            f"(it can: {', '.join(sorted(FAMILIES))}): use `engine.backend: torch`"
        )
    if settings.get("position_embedding_type", "absolute") != "absolute":
        raise ModelError(f"the model {files.name!r} has relative positions: use `engine.backend: torch`")
    return Weights("roberta" if kind in _ROBERTA else kind, settings, _tensors(files))


def _tensors(files: ModelFiles) -> dict[str, Array]:
    found = sorted(files.directory.glob("*.safetensors"))
    reader: Callable[[Any], dict[str, Array]] = _safetensors if found else _pickled
    tensors: dict[str, Array] = {}
    for file in found or sorted(files.directory.glob("pytorch_model*.bin")):
        try:
            tensors |= reader(file)
        except Exception as problem:  # safetensors and torch raise their own, on damage and on pickled code
            raise ModelError(f"the model {files.name!r} in {files.directory} cannot be loaded: {problem}") from problem
    if not tensors:
        raise ModelError(f"{files.directory} holds no weights")
    return tensors


def _safetensors(file: Any) -> dict[str, Array]:
    from safetensors.numpy import load_file

    return {name: np.asarray(value, dtype=np.float32) for name, value in load_file(file).items()}


def _pickled(file: Any) -> dict[str, Array]:
    try:
        import torch
    except ModuleNotFoundError as problem:
        raise ModelError(f"reading a pickle needs the extra `torch`: {INSTALL_TORCH}") from problem

    state = torch.load(file, weights_only=True, map_location="cpu")
    return {name: value.float().numpy() for name, value in state.items() if value.is_floating_point()}
