"""The peers that run an exported graph, ONNX Runtime and OpenVINO, in fp32 and int8; what all contenders share.

sentence-transformers' own ONNX and OpenVINO backends and infinity need versions of transformers that exclude ours;
their graphs and quantizations are those of the libraries that they call, which are called here.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.engine_models import Request

Scores = npt.NDArray[np.float32]
Score = Callable[[str, Sequence[str]], Scores]
Feed = dict[str, npt.NDArray[np.int64]]
Run = Callable[[Feed], Any]
_SIZES = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to score. ``exact`` ones compute in fp32 and must agree; the others must rank alike."""

    name: str
    score: Score
    exact: bool
    ours: bool = False


def exported(directory: Path, sample: Request) -> list[Contender]:
    """Return the peers that run torch's export, as one would drive them by hand: pairs sorted, the best batch size."""
    graph, small, static = (directory / f"peer{kind}.onnx" for kind in ("", "-dynamic", "-static"))
    export(directory, graph)
    quantize_dynamic(graph, small)
    quantize_static(graph, static, directory, sample)
    runs = {
        "ONNX Runtime": (_onnxruntime(graph), True),
        "ONNX Runtime int8, dynamic": (_onnxruntime(small), False),
        "OpenVINO": (_openvino(graph), True),
        "OpenVINO int8, static": (_openvino(static), False),
    }
    return [_sorted(name, run, exact, directory, sample) for name, (run, exact) in runs.items()]


def _sorted(name: str, run: Run, exact: bool, directory: Path, sample: Request) -> Contender:
    tokenizer = _tokenizer(directory)

    def scored(size: int) -> Score:
        def score(query: str, documents: Sequence[str]) -> Scores:
            encoded = tokenizer.encode_batch([(query, document) for document in documents])
            order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
            found = np.empty(len(encoded), np.float32)
            for start in range(0, len(order), size):
                places = order[start : start + size]
                found[places] = run(_inputs([encoded[i] for i in places]))[:, 0]
            return found

        return score

    best = min(_SIZES, key=lambda size: fastest(scored(size), sample))
    return Contender(name=f"{name}, sorted (batch {best})", score=scored(best), exact=exact)


def _tokenizer(directory: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    tokenizer.no_padding()
    return tokenizer


def _onnxruntime(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["logits"], inputs)[0]


def _openvino(file: Path) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": _threads(), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(str(file)), "CPU", settings)
    return lambda inputs: compiled(inputs)[0]


def _threads() -> int:
    """Return the threads that all contenders were given."""
    import torch

    return torch.get_num_threads()


def quantize_dynamic(graph: Path, small: Path) -> None:
    """Quantize products as sentence-transformers' export of dynamic int8 does it: weights now, activations by batch."""
    from onnxruntime.quantization import quantize_dynamic as quantize

    quantize(str(graph), str(small), op_types_to_quantize=["MatMul", "Gemm"])


def quantize_static(graph: Path, small: Path, directory: Path, sample: Request) -> None:
    """Quantize products with activations' scales from sample pairs, in the form that OpenVINO runs in int8."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization import quantize_static as quantize

    settings = {"quant_format": QuantFormat.QDQ, "per_channel": True, "op_types_to_quantize": ["MatMul", "Gemm"]}
    quantize(str(graph), str(small), _Calibration(directory, sample), **settings)


class _Calibration:
    """Hands out the sample's pairs, eight at a time, as ONNX Runtime's calibration asks for them."""

    def __init__(self, directory: Path, sample: Request) -> None:
        encoded = _tokenizer(directory).encode_batch([(sample.query, document) for document in sample.documents])
        self._left: Iterator[Feed] = iter([_inputs(encoded[i : i + 8]) for i in range(0, len(encoded), 8)])

    def get_next(self) -> Feed | None:
        return next(self._left, None)


def _inputs(encoded: Sequence[Any]) -> Feed:
    """Return ids, mask and types padded to the longest, `(pairs, longest)`."""
    shape = (len(encoded), max(len(e.ids) for e in encoded))
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    inputs = {name: np.zeros(shape, np.int64) for name in parts}
    for name, attribute in parts.items():
        for row, each in enumerate(encoded):
            inputs[name][row, : len(each.ids)] = getattr(each, attribute)
    return inputs


def load(directory: Path, **options: Any) -> tuple[Any, Any]:
    """Load a checkpoint's tokenizer and model with transformers."""
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(directory)
    return tokenizer, library.AutoModelForSequenceClassification.from_pretrained(directory, **options).eval()


def fastest(score: Score, sample: Request) -> float:
    """Return the shorter of two runs, in seconds."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        score(sample.query, sample.documents)
        times.append(time.perf_counter() - started)
    return min(times)


def export(directory: Path, file: Path) -> None:
    """Export a checkpoint with torch's own exporter, as FlashRank's models are: ids, mask and types in, logits out."""
    import torch

    _, model = load(directory, attn_implementation="eager")
    ids = torch.randint(5, 99, (2, 16))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[1, 9:] = 0  # an example without padding would let the mask be dropped
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        model,
        (),
        str(file),
        kwargs=inputs,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=dict(zip(inputs, itertools.repeat(sizes), strict=False)),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
