"""BERT-class encoders without padding: all tokens of a batch are the rows of one matrix.

Linear layers, norms and activations run over the rows of all pairs at once, so no arithmetic is spent on padding
and the matrix products are as tall as the batch; only attention sees pairs. Of the last layer, only the first
tokens' states are computed, since the head reads no others: all other rows give are keys and values. Scores equal
the padded model's (tested to 1e-4 at fp32).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as nnf

from sidecar.scoring.local.backends.attention import Attention
from sidecar.scoring.local.backends.rows import first_position

_BERT_LIKE = frozenset({"bert", "electra", "roberta", "xlm-roberta", "camembert"})
_SUPPORTED = _BERT_LIKE | {"distilbert"}


Weights = tuple[torch.Tensor, torch.Tensor]
"""A linear layer's weight and bias."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One encoder layer's weights, query, key and value joined; ``norms`` are those after attention and after FFN."""

    qkv: Weights
    attended: Weights
    up: torch.nn.Linear
    down: torch.nn.Linear
    norms: tuple[torch.nn.LayerNorm, torch.nn.LayerNorm]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows on the model's device.

    ``ids``, ``types`` and ``positions`` are `(rows,)`; ``first`` `(pairs,)` are the pairs' first rows.
    """

    ids: torch.Tensor
    types: torch.Tensor
    positions: torch.Tensor
    first: torch.Tensor
    attention: Attention


def supported(model: Any) -> bool:
    """Whether the model is of a family that can run unpadded: absolute positions, full attention."""
    settings = model.config
    absolute = getattr(settings, "position_embedding_type", "absolute") in ("absolute", None)
    return settings.model_type in _SUPPORTED and absolute and not getattr(settings, "is_decoder", False)


class PackedModel:
    """Runs a transformers sequence classifier on rows. Most of its weights stay the classifier's own.

    Args:
        model: the classifier.
        head_multiple: attention heads are widened to a multiple of it with zeros, which change nothing: CUDA's
            variable-length kernel takes multiples of 8 alone, and TinyBERT's heads are 26 wide.
    """

    def __init__(self, model: Any, head_multiple: int = 1) -> None:
        self._model = model
        self._base = getattr(model, model.base_model_prefix)
        settings = model.config
        self.heads = int(settings.num_attention_heads)
        head = int(settings.hidden_size) // self.heads
        self.scale = head**-0.5
        self._distil = settings.model_type == "distilbert"
        self.first_position = first_position(settings.to_dict())
        self._activation = _activation(settings.activation if self._distil else settings.hidden_act)
        read = _distil_layer if self._distil else _bert_layer
        stack = self._base.transformer.layer if self._distil else self._base.encoder.layer
        layers = [read(layer) for layer in stack]
        self._layers = [_widened(layer, self.heads, -head % head_multiple) for layer in layers]

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return `(pairs, labels)` logits, in the order of ``batch.first``."""
        rows = self._embed(batch)
        for layer in self._layers[:-1]:
            attended = batch.attention(nnf.linear(rows, *layer.qkv))
            rows = self._rest(layer, attended, rows)
        return self._head(self._last(self._layers[-1], rows, batch))

    def _embed(self, batch: Batch) -> torch.Tensor:
        tables = self._base.embeddings
        found: torch.Tensor = tables.word_embeddings(batch.ids)
        if hasattr(tables, "token_type_embeddings"):
            found += tables.token_type_embeddings(batch.types)
        found += tables.position_embeddings(batch.positions)
        found = tables.LayerNorm(found)
        return self._base.embeddings_project(found) if hasattr(self._base, "embeddings_project") else found

    def _last(self, layer: _Layer, rows: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the last layer's `(pairs, width)` states of the first tokens."""
        weight, bias = layer.qkv
        width = weight.shape[0] // 3
        first = rows.index_select(0, batch.first)
        query = nnf.linear(first, weight[:width], bias[:width])
        kv = nnf.linear(rows, weight[width:], bias[width:])
        return self._rest(layer, batch.attention.of_first(query, kv), first)

    def _rest(self, layer: _Layer, attended: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return what a layer makes of its attention: projected, added, normed, through the feed-forward part."""
        rows = layer.norms[0](nnf.linear(attended, *layer.attended).add_(rows))
        found: torch.Tensor = layer.norms[1](layer.down(self._activation(layer.up(rows))).add_(rows))
        return found

    def _head(self, first: torch.Tensor) -> torch.Tensor:
        """Return logits from the `(pairs, width)` states of the first token."""
        model = self._model
        if self._distil:
            found = model.classifier(torch.relu(model.pre_classifier(first)))
        elif getattr(self._base, "pooler", None) is not None:
            found = model.classifier(self._base.pooler(first[:, None]))
        else:
            found = model.classifier(first[:, None])
        logits: torch.Tensor = found
        return logits


def _activation(name: str) -> Any:
    from transformers.activations import ACT2FN

    return nnf.gelu if name == "gelu" else ACT2FN[name]


def _joined(*parts: torch.nn.Linear) -> Weights:
    return torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])


def _widened(layer: _Layer, heads: int, zeros: int) -> _Layer:
    """Put so many zeros after each head of the queries, keys and values, and take them out again after attention."""
    if zeros == 0:
        return layer
    (weight, bias), (out, out_bias) = layer.qkv, layer.attended
    wide = nnf.pad(weight.view(3 * heads, -1, weight.shape[1]), (0, 0, 0, zeros)).flatten(0, 1)
    wide_bias = nnf.pad(bias.view(3 * heads, -1), (0, zeros)).flatten()
    back = nnf.pad(out.view(out.shape[0], heads, -1), (0, zeros)).flatten(1)
    return replace(layer, qkv=(wide, wide_bias), attended=(back, out_bias))


def _bert_layer(layer: Any) -> _Layer:
    inner = layer.attention.self
    return _Layer(
        qkv=_joined(inner.query, inner.key, inner.value),
        attended=_joined(layer.attention.output.dense),
        up=layer.intermediate.dense,
        down=layer.output.dense,
        norms=(layer.attention.output.LayerNorm, layer.output.LayerNorm),
    )


def _distil_layer(layer: Any) -> _Layer:
    inner = layer.attention
    return _Layer(
        qkv=_joined(inner.q_lin, inner.k_lin, inner.v_lin),
        attended=_joined(inner.out_lin),
        up=layer.ffn.lin1,
        down=layer.ffn.lin2,
        norms=(layer.sa_layer_norm, layer.output_layer_norm),
    )
