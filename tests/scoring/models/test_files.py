"""Models that is not available or used: one clear message each."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sidecar.config import model as config
from sidecar.errors import ModelError
from sidecar.scoring.local.loaded import load
from sidecar.scoring.models.files import find
from tests.checkpoints import make_checkpoint, write_model
from tests.scoring.families import write

_LIBRARY: Any = transformers  # it declares few types


def _load(directory: Path | str, **settings: Any) -> None:
    name = str(directory)
    load(config.Model(model=name), config.Engine(model=name, **settings)).scheduler.close()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a directory on this machine"):
        find(str(tmp_path / "none"))


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config.json: not a Hugging Face model directory"):
        find(str(tmp_path))


def test_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"no readable config.json"):
        _load(tmp_path)


def test_no_tokenizer(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="no usable tokenizer"):
        _load(tmp_path)


def test_no_weights(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        _load(tmp_path)


def test_damaged_weights(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        _load(tmp_path)


class _Runs:
    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return (open, ("ran", "w"))


def test_code_in_pickled_weights_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"bert.pooler.dense.weight": _Runs()}, tmp_path / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(ModelError, match="cannot be loaded"):
        _load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_model_without_a_ranking_head(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    settings = _LIBRARY.BertConfig.from_pretrained(tmp_path)
    _LIBRARY.BertModel(settings).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no trained ranking head"):
        _load(tmp_path)


def test_a_model_of_many_labels(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model has 5 labels; a cross-encoder that ranks has one logit or two"):
        _load(make_checkpoint(tmp_path, labels=5))


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ModelError, match="torch sees no CUDA device: use `auto` or `cpu`"):
        _load(make_checkpoint(tmp_path), device="cuda")


def test_int8_without_onnx(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"int8 needs `engine.backend: onnx`"):
        _load(make_checkpoint(tmp_path), dtype="int8", backend="torch")


def test_a_model_that_sets_no_length_is_cut_to_its_positions(tmp_path: Path) -> None:
    write("roberta", tmp_path)
    settings = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    write_model(
        tmp_path,
        _LIBRARY.RobertaConfig(
            vocab_size=1000, max_position_embeddings=66, pad_token_id=1, num_labels=1, type_vocab_size=1, **settings
        ),
    )
    loaded = load(config.Model(model=str(tmp_path)), config.Engine(model=str(tmp_path)))
    loaded.scheduler.close()
    assert loaded.tokenizer.room == 64 - 4
    assert json.loads((tmp_path / "config.json").read_text())["max_position_embeddings"] == 66
