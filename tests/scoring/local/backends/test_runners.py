"""The unpadded CUDA path as far as a CPU shows it: rows, buckets, and a forward pass of fixed shapes.

``kernel`` stands in for FlashAttention's variable-length kernel, which runs on CUDA alone; tests/gpu runs the real one.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from sidecar.scoring.local.backends.packed import PackedModel
from sidecar.scoring.local.backends.rows import pack
from sidecar.scoring.local.backends.runners import Bucket, PaddedRunner, bucket_of, fill, static_forward
from sidecar.scoring.local.backends.torch_model import load_model
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.models.files import find
from tests.checkpoints import write_model
from tests.scoring.families import write
from tests.scoring.test_equality import MODELS

CPU = torch.device("cpu")


def kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    scale: float,
) -> torch.Tensor:
    """Attend within each sequence, as the kernel's documentation says; rows of no sequence are left undefined."""
    out = torch.full_like(query, float("nan"))
    bounds = zip(itertools.pairwise(cu_seq_q.tolist()), itertools.pairwise(cu_seq_k.tolist()), strict=True)
    for (first, last), (start, end) in bounds:
        assert last - first <= max_q
        assert end - start <= max_k
        if start < end:
            q, k, v = (part.transpose(0, 1) for part in (query[first:last], key[start:end], value[start:end]))
            out[first:last] = nnf.scaled_dot_product_attention(q, k, v, scale=scale).transpose(0, 1)
    return out


@pytest.fixture(params=["bert", "electra", "distilbert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    family, settings = MODELS[request.param]
    write_model(tmp_path, settings, seed=3, spread=4.0)
    write(family, tmp_path)
    return load_model(find(str(tmp_path)))


@pytest.mark.parametrize("head_multiple", [1, 24])  # heads are 16 wide
@torch.inference_mode()
def test_a_pass_of_fixed_shapes_gives_the_padded_models_logits(model: Any, head_multiple: int) -> None:
    pairs = sample_pairs(700, 120)
    packed = PackedModel(model, head_multiple)
    rows = pack(pairs, packed.first_position)
    bucket = bucket_of(len(rows.ids), len(pairs), int(rows.lengths[0]))
    assert bucket == Bucket(rows=768, pairs=48, longest=128)
    inputs = [torch.from_numpy(part) for part in fill(rows, bucket)]
    found = static_forward(packed, bucket)(inputs)[torch.from_numpy(rows.back)]
    expected = PaddedRunner(model, CPU)(pairs)
    assert float(expected.std()) > 0.05
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("rows", "pairs", "longest", "expected"),
    [
        (1, 1, 1, Bucket(512, 32, 32)),
        (1024, 64, 33, Bucket(1024, 64, 64)),
        (1025, 64, 64, Bucket(1536, 96, 64)),
        (1024, 65, 64, None),  # pairs too short for the bucket's share of them
        (1024, 4, 513, None),
        (1 << 20, 4000, 64, None),
    ],
)
def test_the_smallest_bucket_that_holds_a_batch(rows: int, pairs: int, longest: int, expected: Bucket | None) -> None:
    assert bucket_of(rows, pairs, longest) == expected


def test_what_a_bucket_holds_beyond_the_batch_belongs_to_no_pair() -> None:
    pairs = sample_pairs(200, 64)
    rows = pack(pairs, first_position=2)
    ids, types, positions, first, starts = fill(rows, Bucket(rows=256, pairs=6, longest=64))
    size = len(rows.ids)
    assert [len(part) for part in (ids, types, positions, first, starts)] == [256, 256, 256, 6, 7]
    assert ids[size:].tolist() == [0] * (256 - size)
    assert first.tolist() == [*rows.starts.tolist(), 0, 0, 0]
    assert starts.tolist() == [*rows.starts.tolist(), size, size, size, size]


def test_rows_are_longest_first_and_lead_back() -> None:
    pairs = sample_pairs(300, 96)
    rows = pack(pairs, first_position=0)
    assert rows.lengths.tolist() == sorted(map(len, pairs), reverse=True)
    for given, place in zip(pairs, rows.back, strict=True):
        start = rows.starts[place]
        np.testing.assert_array_equal(rows.ids[start : start + len(given)], given.ids)
        assert rows.positions[start] == 0
