"""The ONNX Runtime backend, for the CPU: fp32, or int8 with activations quantized by row; no torch in the process.

The graph is written once for each model revision and arithmetic, and kept in the cache directory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.config.model import Engine
from sidecar.errors import BackendFailed, ModelError
from sidecar.scoring.local.backend import FINE_GRID, Logits, Pending
from sidecar.scoring.local.backends.rows import Rows, first_position, pack
from sidecar.scoring.local.cpu import cpu_flags, cpu_quota
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.models.files import ModelFiles

_FORMAT = 3  # of the graphs in the cache
_LENGTHS = 32  # tokens between the padded lengths of int8
_NOT_FUSED = ["SkipLayerNormFusion"]  # it would undo what ``onnx_graph`` does on purpose
_ARITHMETIC = {"auto": "float32", "float32": "float32", "int8": "int8"}


class OnnxBackend:
    """Runs a model with ONNX Runtime. ``labels`` is the width of its head."""

    def __init__(self, files: ModelFiles, engine: Engine) -> None:
        if engine.device not in ("auto", "cpu"):
            raise ModelError(f"the onnx backend runs on the CPU, engine.device is {engine.device}: use `torch`")
        if engine.dtype not in _ARITHMETIC:
            raise ModelError(f"the onnx backend computes in float32 or int8, engine.dtype is {engine.dtype}")
        self._dtype = _ARITHMETIC[engine.dtype]
        self._file = graph_file(files, self._dtype, engine.cache_dir)
        self._threads = engine.threads or cpu_quota()
        self._session = _session(self._file, self._threads)
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._first_position = first_position(files.config())
        self.budgets: Sequence[int] = (1024, 2048, 4096)
        self.budget = 2048
        self.depth = 1
        self.grid = FINE_GRID
        self.labels = int(self._logits(sample_pairs(1, longest=8)).shape[1])

    def describe(self) -> dict[str, Any]:
        """Say what runs."""
        import onnxruntime

        return {
            "backend": f"onnxruntime {onnxruntime.__version__}",
            "device": "cpu",
            "dtype": self._dtype,
            "threads": self._threads,
            "attention": "unpadded",
            "graph": str(self._file),
            "token_budget": self.budget,
        }

    def stats(self) -> dict[str, float]:
        """Return no counters."""
        return {}

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        """Run a batch; it is done when this returns.

        Raises:
            BackendFailed: ONNX Runtime raised.
        """
        found = self._logits(pairs)
        return lambda: found

    def _logits(self, pairs: Sequence[EncodedPair]) -> Logits:
        if self._dtype == "float32":
            return self._run(pairs, max(map(len, pairs)))
        found: list[Logits] = [np.empty(0, np.float32)] * len(pairs)
        for longest, places in by_length(pairs).items():
            for place, logits in zip(places, self._run([pairs[i] for i in places], longest), strict=True):
                found[place] = logits
        return np.stack(found)

    def _run(self, pairs: Sequence[EncodedPair], longest: int) -> Logits:
        rows = pack(pairs, self._first_position)
        inputs = feed(rows, longest)
        try:
            [found] = self._session.run(["logits"], {name: inputs[name] for name in self._inputs})
        except Exception as problem:
            raise BackendFailed(f"ONNX Runtime failed: {problem}") from problem
        return np.asarray(found, dtype=np.float32)[rows.back]


def by_length(pairs: Sequence[EncodedPair]) -> dict[int, list[int]]:
    """Return the places of pairs by their padded length, which is each pair's own and not its batch's.

    A sum over more zeros may be added up in another order, and in int8 its last bit may become a step.
    """
    places: dict[int, list[int]] = {}
    for place, pair in enumerate(pairs):
        places.setdefault(-(-len(pair) // _LENGTHS) * _LENGTHS, []).append(place)
    return places


def feed(rows: Rows, longest: int) -> dict[str, npt.NDArray[Any]]:
    """Return the graph's inputs, padded to ``longest`` where they are: see ``onnx_graph``."""
    places = np.arange(longest)
    inside = places < rows.lengths[:, None]
    return {
        "ids": rows.ids,
        "types": rows.types,
        "positions": rows.positions,
        "padded": np.where(inside, rows.starts[:, None] + places, 0).reshape(-1),
        "shape": np.array([len(rows.lengths), longest, -1], dtype=np.int64),
        "lengths": rows.lengths.astype(np.int32),
        "rows": np.flatnonzero(inside),
        "first": rows.starts,
    }


def graph_file(files: ModelFiles, dtype: str, cache_dir: str | None) -> Path:
    """Return the model's graph, writing it first where the cache has none.

    Raises:
        ModelError: the model cannot be exported, or the cache cannot be written.
    """
    folder = cache_folder(cache_dir)
    key = hashlib.sha256(f"{files.directory}|{files.revision}|{_FORMAT}".encode()).hexdigest()[:24]
    file = folder / "onnx" / f"{key}-{dtype}.onnx"
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(files, dtype, file)
        except OSError as problem:
            raise ModelError(f"the exported model cannot be written: {problem}: set engine.cache_dir") from problem
    return file


def cache_folder(cache_dir: str | None) -> Path:
    """Return where graphs are kept, and what was measured: `engine.cache_dir`, or the user's cache."""
    if cache_dir:
        return Path(cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescoring-sidecar"


def _write(files: ModelFiles, dtype: str, file: Path) -> None:
    """Write next to the place and move there: a half-written graph is never seen."""
    import onnx

    from sidecar.scoring.local.backends import onnx_graph, onnx_weights

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        written = Path(folder) / file.name
        onnx.save(onnx_graph.build(onnx_weights.read(files), _weight_bits() if dtype == "int8" else None), str(written))
        written.replace(file)


def _weight_bits() -> int:
    """8, or 7 where the CPU has no VNNI: AVX2 adds two products in 16 bits, and 8 by 8 bits would overflow them."""
    return 8 if any("vnni" in flag for flag in cpu_flags()) else 7


def _session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=_NOT_FUSED
        )
    except Exception as problem:
        raise ModelError(f"{file}: ONNX Runtime cannot load it: {problem}: delete it and start again") from problem
