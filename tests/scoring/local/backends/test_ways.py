"""Which ways to run a model are tried, on machines of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import model as config
from sidecar.errors import ModelError
from sidecar.scoring.local import cpu
from sidecar.scoring.local.backends import ways as module
from sidecar.scoring.local.backends.ways import sees_gpu, ways
from sidecar.scoring.models.files import ModelFiles

BERT = {"model_type": "bert", "hidden_act": "gelu"}


def machine(
    monkeypatch: pytest.MonkeyPatch,
    *,
    packages: tuple[str, ...],
    gpu: bool = False,
    flags: frozenset[str] = frozenset(),
) -> None:
    """Stand in for a machine that has these packages, a GPU, a processor with these flags."""
    monkeypatch.setattr(module, "_installed", lambda *wanted: set(wanted) <= set(packages))
    monkeypatch.setattr(module, "sees_gpu", lambda: gpu)
    monkeypatch.setattr(cpu, "cpu_flags", lambda *_: flags)


def tried(tmp_path: Path, settings: dict[str, Any], **engine: Any) -> list[str]:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    return [str(way) for way in ways(ModelFiles("m", tmp_path, "r"), config.Engine(**engine)).ways]


ALL = ("torch", "transformers")
AMX = frozenset({"amx_bf16", "avx512_bf16"})
AVX512 = frozenset({"avx512_bf16"})
ONNX, HALF = ["onnx float32"], ["torch float32", "torch bfloat16"]
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({"packages": ALL}, BERT, {}, ONNX),
    ({"packages": ALL}, BERT, {"dtype": "float32"}, ONNX),
    ({"packages": ALL}, BERT, {"dtype": "int8"}, ["onnx int8"]),
    ({"packages": ALL}, BERT, {"dtype": "bfloat16"}, ["torch bfloat16"]),
    ({"packages": ALL}, BERT, {"backend": "torch"}, ["torch float32"]),
    ({"packages": ALL, "flags": AVX512}, BERT, {"backend": "torch"}, HALF),
    ({"packages": ALL, "flags": AVX512}, BERT, {"backend": "torch", "dtype": "float32"}, ["torch float32"]),
    ({"packages": ALL, "flags": AVX512}, BERT, {}, ONNX),
    ({"packages": ALL, "flags": AMX}, BERT, {}, [*ONNX, "torch bfloat16"]),
    ({"packages": ALL, "flags": AMX}, BERT, {"backend": "onnx"}, ONNX),
    ({"packages": ALL, "flags": AMX}, BERT, {"dtype": "float32"}, ONNX),
    ({"packages": ALL, "gpu": True}, BERT, {}, ["torch auto"]),
    ({"packages": ALL, "gpu": True}, BERT, {"dtype": "float16"}, ["torch float16"]),
    ({"packages": ALL, "gpu": True}, BERT, {"device": "cpu"}, ONNX),
    ({"packages": ALL}, BERT, {"device": "cuda"}, ["torch auto"]),
    ({"packages": ALL}, {"model_type": "modernbert"}, {}, ["torch float32"]),
    ({"packages": ALL, "flags": AVX512}, {"model_type": "modernbert"}, {}, HALF),
    ({"packages": ALL}, {"model_type": "bert", "hidden_act": "relu"}, {}, ["torch float32"]),
    ({"packages": ALL}, {**BERT, "position_embedding_type": "relative_key"}, {}, ["torch float32"]),
    ({"packages": (), "gpu": True}, BERT, {}, ONNX),
    ({"packages": (), "flags": AMX}, BERT, {}, ONNX),
    ({"packages": ()}, BERT, {"dtype": "int8"}, ["onnx int8"]),
]


@pytest.mark.parametrize(("has", "model", "engine", "expected"), CASES)
def test_what_has_a_chance_to_be_the_fastest_is_tried(
    has: dict[str, Any],
    model: dict[str, Any],
    engine: dict[str, Any],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, **has)
    assert tried(tmp_path, model, **engine) == expected


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
        tried(tmp_path, model, **engine)
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
