"""Writes a BERT-class cross-encoder as an ONNX graph, fused as ONNX Runtime likes it and without padding.

All tokens of a batch are the rows of one matrix, as in ``packed``; only attention sees a padded batch, gathered
before it and gathered back after it. Of the last layer only the first tokens' states are computed. The
fused operators are ONNX Runtime's own (`com.microsoft`), so nothing is left to pattern-matching, and neither torch nor
an exporter is needed.

Inputs, int64 unless said otherwise, for `pairs` P of at most L tokens, T tokens in all:
`ids`, `types`, `positions` `(T,)`; `padded` `(P * L,)`, the row that stands at each place of the padded batch;
`shape` `(3,)`, P, L and -1; `lengths` `(P,)` int32; `rows` `(T,)`, each row's place in the padded batch; `first`
`(P,)`, each pair's first row. Output: `logits` `(P, labels)`.
Source of the operators: ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sidecar.errors import ModelError
from sidecar.scoring.local.backends.onnx_weights import ACTIVATIONS, Array, Weights

_CONTRIB = "com.microsoft"
_GELU_LEAST, _GELU_ZERO = 0.17, 16
_INPUTS = ("ids", "types", "positions", "padded", "shape", "lengths", "rows", "first")


class _Graph:
    """Collects nodes and constants; each method gives the name of its output. ``grown`` are those of GELU."""

    def __init__(self, bits: int | None) -> None:
        self.bits = bits
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.grown: set[str] = set()
        self._small: dict[str, tuple[str, str, str]] = {}

    def add(self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        name = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def product(self, rows: str, weight: Array) -> str:
        if self.bits is None:
            return self.add("MatMul", rows, self.constant(weight.T))
        if rows not in self._small:
            self._small[rows] = self._quantized(rows)
        small_rows, row_scales, zero = self._small[rows]
        small, scales = quantized(weight, self.bits)
        one = self.constant(np.array(1, dtype=np.float32))
        zeros = self.constant(np.zeros(len(scales), dtype=np.int8))
        inputs = (small_rows, self.constant(small.T), one, self.constant(scales), zero, zeros)
        return self.add("Mul", self.add("MatMulIntegerToFloat", *inputs, domain=_CONTRIB), row_scales)

    def _quantized(self, rows: str) -> tuple[str, str, str]:
        """Return rows as unsigned bytes, each row's scale `(T, 1)`, and the zero point: a row's own values decide.

        Of what GELU makes, which is never below -0.17, few steps are kept for negative values.
        """
        zero = _GELU_ZERO if rows in self.grown else 128
        most = self.add("ReduceMax", rows if rows in self.grown else self.add("Abs", rows), axes=[1], keepdims=1)
        least = _GELU_LEAST / zero if rows in self.grown else 1e-9
        step = self.add("Mul", most, self.constant(np.array(1 / (255 - zero), dtype=np.float32)))
        scales = self.add("Max", step, self.constant(np.array(least, dtype=np.float32)))
        flat = self.add("Squeeze", scales, self.constant(np.array([1])))
        point = numpy_helper.from_array(np.array([zero], dtype=np.uint8))
        zeros = self.add("ConstantOfShape", self.add("Shape", flat), value=point)
        small = self.add("QuantizeLinear", rows, flat, zeros, axis=0)
        return small, scales, self.constant(np.array(zero, dtype=np.uint8))

    def linear(self, rows: str, weight: Array, bias: Array) -> str:
        return self.add("Add", self.product(rows, weight), self.constant(bias))

    def skip_norm(self, rows: str, skip: str, norm: tuple[Array, Array], epsilon: float) -> str:
        """Add and norm, as two operators: the fused one takes four times as long on a CPU (docs/performance.md)."""
        return self.norm(self.add("Add", rows, skip), norm, epsilon)

    def norm(self, rows: str, norm: tuple[Array, Array], epsilon: float) -> str:
        gain, bias = map(self.constant, norm)
        return self.add("LayerNormalization", rows, gain, bias, epsilon=epsilon, axis=-1)


def quantized(weight: Array, bits: int) -> tuple[npt.NDArray[np.int8], Array]:
    """Return `(outputs, inputs)` weights as signed integers of so many bits, and the scale of each output."""
    top = 2 ** (bits - 1) - 1
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12).astype(np.float32) / np.float32(top)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def build(weights: Weights, bits: int | None = None) -> onnx.ModelProto:
    """Write the graph.

    Args:
        weights: the checkpoint.
        bits: None for fp32; else the layers' weights are quantized per channel to so many bits and their
            activations to 8, row by row: no row depends on another. Embeddings, norms, attention and the head stay
            fp32.

    Raises:
        ModelError: the model computes what the graph cannot.
    """
    if weights.activation not in ACTIVATIONS:
        raise ModelError(
            f"the activation {weights.activation!r} is not one that the onnx backend exports: "
            "use `engine.backend: torch`"
        )
    graph = _Graph(bits)
    rows = _embeddings(graph, weights)
    for number in range(weights.layers - 1):
        rows = _rest(graph, weights, number, _attention(graph, weights, number, rows), rows)
    last = weights.layers - 1
    first = graph.add("Gather", rows, "first")
    _head(graph, weights, _rest(graph, weights, last, _attention_of_first(graph, weights, last, rows, first), first))
    return _model(graph)


def _embeddings(graph: _Graph, weights: Weights) -> str:
    total = ""
    for part, index in (("word", "ids"), ("position", "positions"), ("token_type", "types")):
        table = weights.embedding(part)
        if table is None:
            continue
        found = graph.add("Gather", graph.constant(table), index)
        total = graph.add("Add", total, found) if total else found
    rows = graph.norm(total, weights.pair(f"{weights.family}.embeddings.LayerNorm"), weights.epsilon)
    if f"{weights.family}.embeddings_project.weight" in weights.tensors:
        rows = graph.linear(rows, *weights.pair(f"{weights.family}.embeddings_project"))
    return rows


def _rest(graph: _Graph, weights: Weights, number: int, attended: str, rows: str) -> str:
    """Return what a layer makes of its attention: projected, added, normed, through the feed-forward part."""
    attended = graph.linear(attended, *weights.layer(number, "attended"))
    rows = graph.skip_norm(attended, rows, weights.layer(number, "norm1"), weights.epsilon)
    weight, bias = weights.layer(number, "up")
    grown = graph.add("BiasGelu", graph.product(rows, weight), graph.constant(bias), domain=_CONTRIB)
    graph.grown.add(grown)
    shrunk = graph.linear(grown, *weights.layer(number, "down"))
    return graph.skip_norm(shrunk, rows, weights.layer(number, "norm2"), weights.epsilon)


def _attention(graph: _Graph, weights: Weights, number: int, rows: str) -> str:
    """Attend from every row: `(T, width)`."""
    query, key, value = _batched(graph, weights, number, rows, "qkv")
    attended = graph.add(
        "MultiHeadAttention", query, key, value, "", "lengths", domain=_CONTRIB, num_heads=weights.heads
    )
    return graph.add("Gather", _flat(graph, weights, number, attended), "rows")


def _attention_of_first(graph: _Graph, weights: Weights, number: int, rows: str, first: str) -> str:
    """Attend from first rows alone: `(P, width)`."""
    key, value = _batched(graph, weights, number, rows, "kv")
    query = graph.add("Unsqueeze", graph.linear(first, *weights.layer(number, "q")), graph.constant(np.array([1])))
    attended = graph.add(
        "MultiHeadAttention", query, key, value, "", "lengths", domain=_CONTRIB, num_heads=weights.heads
    )
    return _flat(graph, weights, number, attended)


def _batched(graph: _Graph, weights: Weights, number: int, rows: str, parts: str) -> list[str]:
    """Return the projections that ``parts`` name as padded batches, `(P, L, width)` each, from one product."""
    layers = [weights.layer(number, part) for part in parts]
    joined = graph.linear(rows, np.concatenate([w for w, _ in layers]), np.concatenate([b for _, b in layers]))
    batch = graph.add("Reshape", graph.add("Gather", joined, "padded"), "shape")
    sizes = graph.constant(np.array([weight.shape[0] for weight, _ in layers], dtype=np.int64))
    names = [f"{part}_{number}" for part in parts]
    graph.nodes.append(helper.make_node("Split", [batch, sizes], names, name=f"split_{number}", axis=2))
    return names


def _flat(graph: _Graph, weights: Weights, number: int, batch: str) -> str:
    """Return a padded batch's rows: `(P * L, width)`."""
    width = weights.layer(number, "q")[0].shape[0]
    return graph.add("Reshape", batch, graph.constant(np.array([-1, width], dtype=np.int64)))


def _head(graph: _Graph, weights: Weights, first: str) -> None:
    graph.bits = None
    dense, activation, classifier = weights.head
    hidden = graph.linear(first, *weights.pair(dense))
    hidden = graph.add(activation, hidden, domain=_CONTRIB if activation == "Gelu" else "")
    weight, bias = weights.pair(classifier)
    product = graph.add("MatMul", hidden, graph.constant(weight.T))
    graph.add("Add", product, graph.constant(bias), output="logits")


def _model(graph: _Graph) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT32 if name == "lengths" else TensorProto.INT64, [None])
        for name in _INPUTS
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, None])
    body = helper.make_graph(graph.nodes, "cross-encoder", inputs, [output], initializer=graph.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIB, 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=9)
