"""Which backend `auto` chooses, on machines of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import model as config
from sidecar.errors import ModelError
from sidecar.scoring.local.backends import chosen as module
from sidecar.scoring.local.backends.chosen import chosen, sees_gpu
from sidecar.scoring.models.files import ModelFiles

BERT = {"model_type": "bert", "hidden_act": "gelu"}


def machine(
    monkeypatch: pytest.MonkeyPatch, *, packages: tuple[str, ...], gpu: bool = False, bfloat16: bool = False
) -> None:
    """Stand in for a machine that has these packages, a GPU, bfloat16 arithmetic."""
    monkeypatch.setattr(module, "_installed", lambda *wanted: set(wanted) <= set(packages))
    monkeypatch.setattr(module, "sees_gpu", lambda: gpu)
    monkeypatch.setattr(module, "computes_bfloat16", lambda: bfloat16)


def choose(tmp_path: Path, settings: dict[str, Any], **engine: Any) -> str:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    return chosen(ModelFiles("m", tmp_path, "r"), config.Engine(**engine))[0]


ALL = ("torch", "transformers")
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"packages": ALL}, BERT, {}, "onnx"),
    ({"packages": ALL}, BERT, {"dtype": "float32"}, "onnx"),
    ({"packages": ALL}, BERT, {"dtype": "int8"}, "onnx"),
    ({"packages": ALL}, BERT, {"dtype": "bfloat16"}, "torch"),
    ({"packages": ALL}, BERT, {"backend": "torch"}, "torch"),
    ({"packages": ALL, "bfloat16": True}, BERT, {}, "torch"),
    ({"packages": ALL, "bfloat16": True}, BERT, {"dtype": "float32"}, "onnx"),
    ({"packages": ALL, "gpu": True}, BERT, {}, "torch"),
    ({"packages": ALL, "gpu": True}, BERT, {"device": "cpu"}, "onnx"),
    ({"packages": ALL}, BERT, {"device": "cuda"}, "torch"),
    ({"packages": ALL}, {"model_type": "modernbert"}, {}, "torch"),
    ({"packages": ALL}, {"model_type": "bert", "hidden_act": "relu"}, {}, "torch"),
    ({"packages": ALL}, {**BERT, "position_embedding_type": "relative_key"}, {}, "torch"),
    ({"packages": (), "gpu": True}, BERT, {}, "onnx"),
    ({"packages": (), "bfloat16": True}, BERT, {}, "onnx"),
    ({"packages": ()}, BERT, {"dtype": "int8"}, "onnx"),
]


@pytest.mark.parametrize(("has", "model", "engine", "expected"), CASES)
def test_the_fastest_that_runs_the_model(
    has: dict[str, Any],
    model: dict[str, Any],
    engine: dict[str, Any],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, **has)
    assert choose(tmp_path, model, **engine) == expected


@pytest.mark.parametrize(
    ("model", "engine", "why"),
    [
        (BERT, {"backend": "torch"}, "engine.backend says so"),
        (BERT, {"device": "cuda:0"}, "engine.device is cuda:0"),
        (BERT, {"dtype": "float16"}, "engine.dtype is float16"),
        ({"model_type": "deberta-v2"}, {}, "only torch runs models of type 'deberta-v2'"),
    ],
)
def test_what_only_torch_can_do_names_the_extra_that_brings_it(
    model: dict[str, Any], engine: dict[str, Any], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, packages=())
    with pytest.raises(ModelError) as raised:
        choose(tmp_path, model, **engine)
    assert why in str(raised.value)
    assert "pip install 'elasticsearch-rescoring-sidecar[torch]'" in str(raised.value)


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], False), (["nvidia0", "nvidiactl"], True), (["dxg"], True), (["nvidiactl"], False)],
)
def test_a_gpu_is_what_the_kernel_shows(names: list[str], expected: bool, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert sees_gpu(tmp_path) is expected
