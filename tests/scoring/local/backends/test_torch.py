"""The torch backend's devices, and a device that runs out of memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sidecar.config import model as config
from sidecar.errors import BackendFailed, ModelError
from sidecar.scoring.local.backends.runners import Runner
from sidecar.scoring.local.backends.torch import TorchBackend, devices
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.models.files import find
from tests.checkpoints import make_checkpoint


class Tight:
    """Stands in for a device with room for a few pairs: a real one would take minutes to fill."""

    name = "tight"

    def __init__(self, whole: Runner, room: int) -> None:
        self._whole, self._room = whole, room

    def __call__(self, pairs: Sequence[EncodedPair]) -> torch.Tensor:
        if len(pairs) > self._room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self._whole(pairs)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("torch"))


def backend(checkpoint: Path) -> TorchBackend:
    return TorchBackend(find(str(checkpoint)), config.Engine(dtype="float32", threads=1), torch.device("cpu"), 64)


def test_out_of_memory_halves_the_budget_and_the_batch_still_comes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = backend(checkpoint)
    pairs = sample_pairs(1024, 64)
    expected, budget = ours.start(pairs)(), ours.budget
    tight = Tight(ours._runner(pairs), len(pairs) // 4)
    monkeypatch.setattr(ours, "_runner", lambda pairs: tight)
    np.testing.assert_allclose(ours.start(pairs)(), expected, atol=1e-4)
    assert ours.budget == max(256, budget // 8)
    assert ours.stats() == {"out_of_memory_total": 3}


def test_a_pair_that_does_not_fit_alone_fails(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = backend(checkpoint)
    pairs = sample_pairs(64, 64)
    tight = Tight(ours._runner(pairs), 0)
    monkeypatch.setattr(ours, "_runner", lambda pairs: tight)
    with pytest.raises(BackendFailed, match="one pair does not fit the device"):
        ours.start(pairs)


async def test_out_of_memory_is_a_metric(checkpoint: Path) -> None:
    engine = Engine(config.Engine(model=str(checkpoint), threads=1))
    await engine.start()
    assert engine.stats()["out_of_memory_total"] == 0
    await engine.close()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("gpu", "engine.device is 'gpu': use `auto`, `cpu`, `cuda` or `cuda:N`"),
        ("cuda:x", "engine.device is 'cuda:x': use `auto`, `cpu`, `cuda` or `cuda:N`"),
    ],
)
def test_a_device_that_is_none_says_what_there_is(wanted: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        devices(wanted)


def test_more_devices_than_there_are_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count stands in for a machine with two GPUs."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [str(device) for device in devices("auto")] == ["cuda:0", "cuda:1"]
    assert [str(device) for device in devices("cuda")] == ["cuda:0", "cuda:1"]
    assert [str(device) for device in devices("cuda:1")] == ["cuda:1"]
    with pytest.raises(ModelError, match=r"torch sees 2 CUDA device\(s\)"):
        devices("cuda:2")
