"""The ways to run a model with torch: padded for any, unpadded for BERT-class ones, as CUDA graphs where it pays.

A runner gives `(pairs, labels)` logits on its device, in the order of the pairs; on CUDA before they are computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sidecar.scoring.local.backend import padded
from sidecar.scoring.local.backends.attention import RunAttention, VarlenAttention
from sidecar.scoring.local.backends.packed import Batch, PackedModel
from sidecar.scoring.local.backends.rows import Rows, pack
from sidecar.scoring.local.tokenization import EncodedPair

_ROW_BUCKETS = tuple(step << shift for shift in range(8, 17) for step in (2, 3))
_LENGTH_BUCKETS = (32, 64, 128, 256, 512)
_ROWS_A_PAIR = 16


class Runner(Protocol):
    """One way to run a model."""

    name: str

    def __call__(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        """Run the model."""
        ...


class PaddedRunner:
    """Runs any sequence classifier of transformers on a padded batch."""

    name = "padded"

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self._pad = int(model.config.pad_token_id or 0)
        self._takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
        self._upload = Upload(device)

    def __call__(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        """Run the model."""
        ids, types, mask = self._upload(padded(pairs, self._pad))
        options = {"token_type_ids": types} if self._takes_types else {}
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask, **options).logits
        return logits


class UnpaddedRunner:
    """Runs a BERT-class model on rows: attention by runs of equal length on the CPU, by one kernel on CUDA."""

    name = "unpadded"

    def __init__(self, model: PackedModel, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._upload = Upload(device)

    def __call__(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        """Run the model."""
        rows = pack(pairs, self._model.first_position)
        ids, types, positions, first, back = self._upload(
            (rows.ids, rows.types, rows.positions, rows.starts, rows.back)
        )
        return self._model(Batch(ids, types, positions, first, self._attention(rows))).index_select(0, back)

    def _attention(self, rows: Rows) -> RunAttention | VarlenAttention:
        if self._device.type == "cpu":
            return RunAttention(rows.lengths.tolist(), self._model.heads, self._model.scale)
        ends = np.append(rows.starts, len(rows.ids)).astype(np.int32)
        starts, counted = self._upload((ends, np.arange(len(ends), dtype=np.int32)))
        return VarlenAttention(starts, int(rows.lengths[0]), self._model.heads, self._model.scale, counted)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A shape that a graph is captured for: so many rows and pairs at most, none longer than ``longest``."""

    rows: int
    pairs: int
    longest: int


def bucket_of(rows: int, pairs: int, longest: int) -> Bucket | None:
    """Return the smallest bucket that holds a batch, None when it is too large or its pairs are too short."""
    row = next((size for size in _ROW_BUCKETS if size >= rows), None)
    length = next((size for size in _LENGTH_BUCKETS if size >= longest), None)
    if row is None or length is None or pairs > row // _ROWS_A_PAIR:
        return None
    return Bucket(row, row // _ROWS_A_PAIR, length)


def fill(rows: Rows, bucket: Bucket) -> tuple[npt.NDArray[np.int64], ...]:
    """Return ids, types, positions `(bucket rows,)`, first rows `(bucket pairs,)` and starts `(bucket pairs + 1,)`.

    Rows beyond the batch's belong to no pair; pairs beyond the batch's are empty, and their first row is row 0.
    """
    size, pairs = len(rows.ids), len(rows.starts)
    spare = bucket.rows - size
    tokens = [np.pad(part, (0, spare)) for part in (rows.ids, rows.types, rows.positions)]
    first = np.pad(rows.starts, (0, bucket.pairs - pairs))
    starts = np.pad(rows.starts, (0, bucket.pairs + 1 - pairs), constant_values=size)
    return (*tokens, first, starts)


class GraphRunner:
    """Runs a BERT-class model as CUDA graphs, one captured for each shape when it is first met.

    A small model's kernels take less time than launching them one by one; a graph launches all at once.
    What no bucket holds is run by ``otherwise``. Source: PyTorch documentation, "CUDA Graphs".
    """

    name = "unpadded, CUDA graphs"

    def __init__(self, model: PackedModel, device: torch.device, otherwise: Runner) -> None:
        self._model = model
        self._device = device
        self._otherwise = otherwise
        self._graphs: dict[Bucket, Replay] = {}
        self._upload = Upload(device)
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        """Run the model."""
        rows = pack(pairs, self._model.first_position)
        bucket = bucket_of(len(rows.ids), len(rows.starts), int(rows.lengths[0]))
        if bucket is None:
            return self._otherwise(pairs)
        if bucket not in self._graphs:
            self._graphs[bucket] = self._capture(bucket)
        (back,) = self._upload((rows.back,))
        return self._graphs[bucket](fill(rows, bucket)).index_select(0, back)

    def _capture(self, bucket: Bucket) -> Replay:
        return capture(static_forward(self._model, bucket), bucket, self._device, self._pool)


Forward = Callable[[Sequence[torch.Tensor]], torch.Tensor]
Replay = Callable[[Sequence[npt.NDArray[np.int64]]], torch.Tensor]


def static_forward(model: PackedModel, bucket: Bucket) -> Forward:
    """Return a forward pass whose shapes depend on the bucket alone; its inputs are those of ``fill``."""

    def forward(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        ids, types, positions, first, starts = inputs
        counted = torch.arange(bucket.pairs + 1, dtype=torch.int32, device=ids.device)
        attention = VarlenAttention(starts.int(), bucket.longest, model.heads, model.scale, counted)
        return model(Batch(ids, types, positions, first, attention))

    return forward


def capture(forward: Forward, bucket: Bucket, device: torch.device, pool: Any) -> Replay:
    """Capture a forward pass as a CUDA graph and give what copies inputs in, replays it and gives the logits.

    Graphs that share a ``pool`` share working memory: one is replayed at a time, its logits copied before the next.
    """
    sizes = (bucket.rows, bucket.rows, bucket.rows, bucket.pairs, bucket.pairs + 1)
    inputs = [torch.zeros(size, dtype=torch.long, device=device) for size in sizes]
    side = _stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # libraries set themselves up on the first runs, which must not be captured
        for _ in range(2):
            forward(inputs)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):  # other devices' threads go on
        logits = forward(inputs)

    def replay(values: Sequence[npt.NDArray[np.int64]]) -> torch.Tensor:
        for place, value in zip(inputs, values, strict=True):
            place.copy_(torch.from_numpy(value).pin_memory(), non_blocking=True)
        graph.replay()
        return logits

    return replay


class Upload:
    """Brings arrays to the device; to CUDA from pinned memory on a stream of its own, beside what is computed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _stream(device) if device.type == "cuda" else None

    def __call__(self, values: Sequence[npt.NDArray[Any]]) -> list[torch.Tensor]:
        """Return the arrays as tensors that the current stream may use."""
        tensors = [torch.from_numpy(value) for value in values]
        if self._stream is None:
            return tensors
        with torch.cuda.stream(self._stream):
            sent = [tensor.pin_memory().to(self._device, non_blocking=True) for tensor in tensors]
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        for tensor in sent:
            tensor.record_stream(current)
        return sent


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here
