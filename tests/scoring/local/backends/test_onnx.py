"""The ONNX Runtime backend: transformers' scores, no torch in the process, clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from sidecar.config import model as config
from sidecar.errors import ModelError
from sidecar.scoring.local import cpu
from sidecar.scoring.local.backends.onnx import OnnxBackend
from sidecar.scoring.local.backends.ways import ways
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.local.tokenization import EncodedPair
from sidecar.scoring.models.files import find
from sidecar.scoring.scorer import ScoreRequest
from tests.checkpoints import make_checkpoint, write_model
from tests.scoring.families import write
from tests.scoring.test_equality import MODELS, QUERY, documents, reference, scored

_EXPORTED = [name for name in MODELS if "relu" not in name and "albert" not in name]


def _checkpoint(directory: Path, name: str) -> Path:
    family, settings = MODELS[name]
    write_model(directory, settings, seed=3, spread=4.0)
    write(family, directory)
    return directory


@pytest.mark.parametrize("name", _EXPORTED)
async def test_scores_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    directory = _checkpoint(tmp_path / "model", name)
    texts = documents()
    options: dict[str, Any] = {"backend": "onnx", "cache_dir": str(tmp_path / "cache")}
    [found] = await scored(directory, [ScoreRequest(query=QUERY, documents=texts)], **options)
    np.testing.assert_allclose(found, reference(directory, QUERY, texts), atol=1e-4)


async def test_int8_orders_almost_as_float32_does(tmp_path: Path) -> None:
    texts = documents(60)
    request = ScoreRequest(query="how do I read a zip archive", documents=texts)
    options: dict[str, Any] = {"backend": "onnx", "cache_dir": str(tmp_path)}
    [exact] = await scored(Path("bundled"), [request], **options)
    [small] = await scored(Path("bundled"), [request], **{**options, "dtype": "int8"})
    assert small != exact
    assert np.corrcoef(exact, small)[0, 1] > 0.98


def test_an_int8_score_is_the_same_in_any_batch_bit_for_bit(tmp_path: Path) -> None:
    backend = OnnxBackend(find("bundled"), config.Engine(dtype="int8", threads=2, cache_dir=str(tmp_path)))
    random = Random(5)
    pairs = [
        EncodedPair(
            np.array([2, *random.choices(range(999, 9999), k=length - 2), 3], np.int32),
            np.array([0] * 7 + [1] * (length - 7), np.int32),
            bytes([length]),
        )
        for length in random.sample(range(9, 140), 40)
    ]
    alone = [backend.start([pair])().tobytes() for pair in pairs]
    assert len(set(alone)) == len(pairs)
    for size in (2, 3, 7, 16, 33, 40):
        batch = random.sample(range(len(pairs)), size)
        found = backend.start([pairs[i] for i in batch])()
        assert [row.tobytes() for row in found] == [alone[i] for i in batch]


def _backend(directory: Path, cache: Path, **settings: Any) -> OnnxBackend:
    return OnnxBackend(find(str(directory)), config.Engine(backend="onnx", cache_dir=str(cache), **settings))


def test_the_graph_is_written_once_for_each_revision(tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path / "model")
    first = Path(_backend(directory, tmp_path / "cache").describe()["graph"])
    written = first.stat().st_mtime_ns
    assert Path(_backend(directory, tmp_path / "cache").describe()["graph"]) == first
    assert first.stat().st_mtime_ns == written
    make_checkpoint(tmp_path / "model", seed=1)
    assert Path(_backend(directory, tmp_path / "cache").describe()["graph"]) != first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bert with relu", "the activation 'relu' is not one that the onnx backend exports"),
        ("albert, which runs padded", "is of type 'albert', which the onnx backend cannot export"),
    ],
)
def test_what_cannot_be_exported_says_so(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        _backend(_checkpoint(tmp_path / "model", name), tmp_path / "cache")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda"}, "the onnx backend runs on the CPU, engine.device is cuda: use `torch`"),
        ({"dtype": "bfloat16"}, "computes in float32 or int8, engine.dtype is bfloat16"),
    ],
)
def test_settings_that_do_not_fit_say_so(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        _backend(make_checkpoint(tmp_path / "model"), tmp_path / "cache", **settings)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(ModelError, match=r"cannot be written: .*: set engine.cache_dir"):
        _backend(make_checkpoint(tmp_path / "model"), tmp_path / "cache")


def test_a_graph_that_was_damaged_says_so(tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path / "model")
    Path(_backend(directory, tmp_path / "cache").describe()["graph"]).write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load it: .*: delete it and start again"):
        _backend(directory, tmp_path / "cache")


_ALONE = """
import asyncio, json, sys
from sidecar.config.model import Engine as Settings
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import ScoreRequest

async def main():
    engine = Engine(Settings(model="bundled", backend="onnx", cache_dir=sys.argv[1]))
    await engine.start()
    scores = await engine.score(ScoreRequest(query="zip", documents=["a zip archive", "the mean"]))
    await engine.close()
    print(json.dumps({"torch": "torch" in sys.modules, "scores": scores.values}))

asyncio.run(main())
"""


def test_torch_is_never_imported(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _ALONE, str(tmp_path)], capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout)
    assert not told["torch"]
    assert told["scores"][0] > told["scores"][1]


async def test_a_graph_that_cannot_be_kept_leaves_the_model_to_torch_unless_onnx_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cpu, "cpu_flags", lambda *_: frozenset())  # where torch has no chance to begin with
    monkeypatch.setattr("sidecar.scoring.local.contest.ways", ways)  # whatever the tests' backend is
    (tmp_path / "file").touch()
    directory = make_checkpoint(tmp_path / "model")
    settings: dict[str, Any] = {"model": str(directory), "device": "cpu", "cache_dir": str(tmp_path / "file")}
    engine = Engine(config.Engine(**settings))
    await engine.start()
    [told] = engine.describe().values()
    await engine.close()
    assert told["backend"] == "torch"
    assert "since onnx cannot: the exported model cannot be written" in caplog.text
    with pytest.raises(ModelError, match=r"set engine\.cache_dir"):
        await Engine(config.Engine(**settings, backend="onnx")).start()
