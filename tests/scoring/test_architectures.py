"""Each of the card's models at its true shape, in the layouts repositories of its time have.

Scores equal transformers' own to 1e-4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from sidecar.scoring.models.catalog import CARD, CatalogModel
from sidecar.scoring.scorer import ScoreRequest
from tests.checkpoints import write_model
from tests.scoring.families import write
from tests.scoring.test_equality import reference, scored

_LIBRARY: Any = transformers  # it declares few types
_QUERY = "how do I read a zip archive"
_TEXTS = ["read the zip archive file", "the mean of a value", "", "argument parser error value " * 20]


def _settings(model: CatalogModel, vocabulary: int) -> Any:
    shape = model.shape
    cls = _LIBRARY.ElectraConfig if shape.architecture == "ELECTRA" else _LIBRARY.BertConfig
    extra = {"embedding_size": shape.width} if shape.architecture == "ELECTRA" else {}
    return cls(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        num_labels=1 if model.head == "one_logit" else 2,
        **extra,
    )


@pytest.mark.parametrize("model", CARD, ids=lambda model: model.name)
async def test_a_model_of_the_card_at_its_true_shape(model: CatalogModel, tmp_path: Path) -> None:
    write("electra" if model.shape.architecture == "ELECTRA" else "bert", tmp_path)
    # The vocabulary is the tests' own; all else is the model's shape.
    write_model(tmp_path, _settings(model, 5000), seed=5)
    [found] = await scored(tmp_path, [ScoreRequest(query=_QUERY, documents=_TEXTS)])
    expected = reference(tmp_path, _QUERY, _TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len(set(np.round(found, 5))) > 1


def _bert(directory: Path, **settings: Any) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    write("bert", directory)
    write_model(directory, _LIBRARY.BertConfig(vocab_size=5000, **shape, **settings), seed=5, spread=4.0)


def _pickled(directory: Path) -> None:
    """What repositories were before safetensors."""
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()


def _configured(directory: Path, **changes: Any) -> None:
    file = directory / "config.json"
    settings = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}))


async def _equal(directory: Path, expected: list[float]) -> None:
    for backend in ("torch", "onnx"):
        options = {"backend": backend, "cache_dir": str(directory / "cache")}
        [found] = await scored(directory, [ScoreRequest(query=_QUERY, documents=_TEXTS)], **options)
        np.testing.assert_allclose(found, expected, atol=1e-4)


async def test_a_repository_with_only_pickled_weights(tmp_path: Path) -> None:
    _bert(tmp_path, num_labels=1)
    expected = reference(tmp_path, _QUERY, _TEXTS)
    _pickled(tmp_path)
    await _equal(tmp_path, expected)


async def test_a_repository_with_only_a_vocabulary(tmp_path: Path) -> None:
    _bert(tmp_path, num_labels=1)
    expected = reference(tmp_path, _QUERY, _TEXTS)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / name).unlink(missing_ok=True)
    await _equal(tmp_path, expected)


@pytest.mark.parametrize("lower", [True, False])
async def test_a_vocabulary_of_lower_or_upper_case(lower: bool, tmp_path: Path) -> None:
    _bert(tmp_path, num_labels=1)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    upper = [text.upper() for text in _TEXTS]
    [found] = await scored(tmp_path, [ScoreRequest(query=_QUERY, documents=upper)])
    np.testing.assert_allclose(found, reference(tmp_path, _QUERY, upper), atol=1e-4)
    [plain] = await scored(tmp_path, [ScoreRequest(query=_QUERY, documents=_TEXTS)])
    assert (found[0] == pytest.approx(plain[0], abs=1e-4)) is lower


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("pickled", [True, False])
async def test_a_configuration_that_does_not_say_how_many_labels(labels: int, pickled: bool, tmp_path: Path) -> None:
    _bert(tmp_path, num_labels=labels)
    expected = reference(tmp_path, _QUERY, _TEXTS)
    _configured(tmp_path, id2label=None, label2id=None, num_labels=None)
    if pickled:
        _pickled(tmp_path)
    await _equal(tmp_path, expected)


async def test_modernbert_runs_padded(tmp_path: Path) -> None:
    write("bert", tmp_path)
    settings = _LIBRARY.ModernBertConfig(
        vocab_size=5000,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        max_position_embeddings=256,
    )
    write_model(tmp_path, settings, seed=5, spread=4.0)
    [found] = await scored(tmp_path, [ScoreRequest(query=_QUERY, documents=_TEXTS)])
    np.testing.assert_allclose(found, reference(tmp_path, _QUERY, _TEXTS), atol=1e-4)
