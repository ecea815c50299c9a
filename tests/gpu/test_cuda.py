"""The engine on CUDA: every way to run a model, its choice, running out of memory, several devices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sidecar.config import model as config
from sidecar.scoring.local.backend import Logits
from sidecar.scoring.local.backends.packed import PackedModel
from sidecar.scoring.local.backends.runners import GraphRunner, PaddedRunner, Runner, UnpaddedRunner
from sidecar.scoring.local.backends.torch import TorchBackend
from sidecar.scoring.local.backends.torch_model import keep_head_in_fp32, load_model
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.models.files import find
from sidecar.scoring.scorer import ScoreRequest
from tests.checkpoints import make_checkpoint
from tests.scoring.test_equality import QUERY, documents, reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
DEVICE = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("cuda"))


def half() -> torch.dtype:
    return torch.bfloat16 if torch.cuda.get_device_capability(DEVICE)[0] >= 8 else torch.float16


def runners(checkpoint: Path) -> dict[str, Runner]:
    model = load_model(find(str(checkpoint))).to(DEVICE, half())
    keep_head_in_fp32(model)
    packed = PackedModel(model, head_multiple=8)
    unpadded = UnpaddedRunner(packed, DEVICE)
    return {
        runner.name: runner for runner in (PaddedRunner(model, DEVICE), unpadded, GraphRunner(packed, DEVICE, unpadded))
    }


@pytest.mark.parametrize("name", ["unpadded", "unpadded, CUDA graphs"])
@pytest.mark.parametrize("tokens", [64, 700, 5000, 40_000])
def test_every_way_gives_the_padded_models_logits(checkpoint: Path, name: str, tokens: int) -> None:
    if torch.cuda.get_device_capability(DEVICE)[0] < 8:
        pytest.skip("FlashAttention's variable-length kernel needs compute capability 8.0")
    pairs, other = sample_pairs(tokens, 100), sample_pairs(tokens, 60)
    found = runners(checkpoint)

    @torch.inference_mode()
    def logits(runner: Runner, batch: Any) -> Logits:
        return runner(batch).float().cpu().numpy()

    expected = logits(found["padded"], pairs)
    spread = float(np.ptp(expected))
    np.testing.assert_allclose(logits(found[name], pairs), expected, atol=0.05 * spread)
    logits(found[name], other)  # a graph's buffers hold another batch now
    np.testing.assert_allclose(logits(found[name], pairs), expected, atol=0.05 * spread)


async def test_scores_at_fp32_are_those_of_transformers(checkpoint: Path) -> None:
    texts = documents()
    engine = Engine(config.Engine(model=str(checkpoint), device="cuda", dtype="float32", max_length=128))
    await engine.start()
    requests = [ScoreRequest(query=QUERY, documents=texts) for _ in range(8)]
    found = await asyncio.gather(*map(engine.score, requests))
    await engine.close()
    expected = reference(checkpoint, QUERY, texts)
    for scores in found:
        np.testing.assert_allclose(scores.values, expected, atol=1e-3)  # TF32 is off; sums are in another order


def test_the_choice_is_told_with_its_figures(checkpoint: Path) -> None:
    backend = TorchBackend(find(str(checkpoint)), config.Engine(), DEVICE, 128)
    told = backend.describe()
    assert told["dtype"] == str(half()).removeprefix("torch.")
    for lap in told["attention"].values():
        assert lap["fastest"] in lap["ms"]


async def test_every_device_gets_its_worker(checkpoint: Path) -> None:
    count = torch.cuda.device_count()
    if count < 2:
        pytest.skip("one CUDA device is here: several are needed")
    engine = Engine(config.Engine(model=str(checkpoint), device="cuda", max_length=128))
    await engine.start()
    [told] = engine.describe().values()
    scores = await asyncio.gather(
        *(engine.score(ScoreRequest(query=QUERY, documents=documents(seed=i))) for i in range(32))
    )
    await engine.close()
    assert len(told["devices"]) == count
    assert all(len(found.values) == 30 for found in scores)
