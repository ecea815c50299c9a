"""BERT-class encoders without padding, for the CPU: all tokens of a batch are the rows of one matrix.

Linear layers, norms and activations run over the rows of all pairs at once, so no arithmetic is spent on padding
and the matrix products are as tall as the batch; only attention sees pairs, runs of equal length together. The
embeddings and the head stay transformers' own modules. Scores equal the padded model's (tested to 1e-4 at fp32).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf

from sidecar.scoring.tokenization import EncodedPair

_BERT_LIKE = frozenset({"bert", "electra", "roberta", "xlm-roberta", "camembert"})
_SUPPORTED = _BERT_LIKE | {"distilbert"}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One encoder layer's weights, query, key and value joined; ``norms`` are those after attention and after FFN."""

    qkv: tuple[torch.Tensor, torch.Tensor]
    attended: torch.nn.Linear
    up: torch.nn.Linear
    down: torch.nn.Linear
    norms: tuple[torch.nn.LayerNorm, torch.nn.LayerNorm]


def supported(model: Any) -> bool:
    """Whether the model is of a family that can run unpadded: absolute positions, full attention."""
    settings = model.config
    absolute = getattr(settings, "position_embedding_type", "absolute") in ("absolute", None)
    return settings.model_type in _SUPPORTED and absolute and not getattr(settings, "is_decoder", False)


class PackedModel:
    """Runs a transformers sequence classifier on pairs without padding."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._base = getattr(model, model.base_model_prefix)
        settings = model.config
        self._heads = int(settings.num_attention_heads)
        self._distil = settings.model_type == "distilbert"
        self._first_position = int(settings.pad_token_id) + 1 if "roberta" in settings.model_type else 0
        if settings.model_type == "camembert":
            self._first_position = int(settings.pad_token_id) + 1
        self._activation = _activation(settings.activation if self._distil else settings.hidden_act)
        read = _distil_layer if self._distil else _bert_layer
        stack = self._base.transformer.layer if self._distil else self._base.encoder.layer
        self._layers = [read(layer) for layer in stack]

    def logits(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        """Give `(pairs, labels)` logits, in the order of the pairs."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i]))
        lengths = [len(pairs[i]) for i in order]
        rows = self._embed([pairs[i] for i in order], lengths)
        for layer in self._layers:
            rows = self._run(layer, rows, lengths)
        starts = torch.tensor([0, *itertools.accumulate(lengths[:-1])])
        found = self._head(rows[starts])
        back = torch.empty(len(pairs), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(pairs))
        return found[back]

    def _embed(self, pairs: Sequence[EncodedPair], lengths: Sequence[int]) -> torch.Tensor:
        def joined(parts: Any) -> torch.Tensor:
            return torch.cat([torch.as_tensor(part, dtype=torch.long) for part in parts])[None]

        ids = joined(pair.ids for pair in pairs)
        positions = torch.cat([torch.arange(n) for n in lengths])[None] + self._first_position
        if self._distil:
            embedded = self._base.embeddings(input_ids=ids, position_ids=positions)
        else:
            types = joined(pair.type_ids for pair in pairs)
            embedded = self._base.embeddings(input_ids=ids, token_type_ids=types, position_ids=positions)
            if hasattr(self._base, "embeddings_project"):
                embedded = self._base.embeddings_project(embedded)
        rows: torch.Tensor = embedded[0]
        return rows

    def _run(self, layer: _Layer, rows: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        attended = layer.attended(self._attention(nnf.linear(rows, *layer.qkv), lengths))
        rows = layer.norms[0](attended.add_(rows))
        grown: torch.Tensor = layer.down(self._activation(layer.up(rows)))
        found: torch.Tensor = layer.norms[1](grown.add_(rows))
        return found

    def _attention(self, qkv: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Attend within each pair: `(rows, 3 * width)` to `(rows, width)`."""
        width = qkv.shape[1] // 3
        out = qkv.new_empty(qkv.shape[0], width)
        start = 0
        for length, run in itertools.groupby(lengths):
            count = len(list(run))
            end = start + count * length
            parts = qkv[start:end].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            found = nnf.scaled_dot_product_attention(parts[0], parts[1], parts[2])
            out[start:end].view(count, length, self._heads, -1).copy_(found.transpose(1, 2))
            start = end
        return out

    def _head(self, first: torch.Tensor) -> torch.Tensor:
        """Give logits from the `(pairs, width)` states of the first token."""
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


def _joined(*parts: torch.nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])


def _bert_layer(layer: Any) -> _Layer:
    inner = layer.attention.self
    return _Layer(
        qkv=_joined(inner.query, inner.key, inner.value),
        attended=layer.attention.output.dense,
        up=layer.intermediate.dense,
        down=layer.output.dense,
        norms=(layer.attention.output.LayerNorm, layer.output.LayerNorm),
    )


def _distil_layer(layer: Any) -> _Layer:
    inner = layer.attention
    return _Layer(
        qkv=_joined(inner.q_lin, inner.k_lin, inner.v_lin),
        attended=inner.out_lin,
        up=layer.ffn.lin1,
        down=layer.ffn.lin2,
        norms=(layer.sa_layer_norm, layer.output_layer_norm),
    )
