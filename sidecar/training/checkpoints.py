"""Reads a model to train, and writes it as a directory that `engine.model` takes."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from sidecar.errors import ModelError
from sidecar.scoring.local.tokenization import load_tokenizer
from sidecar.scoring.models.files import ModelFiles

_KEPT: Final = (
    "tokenizer*",
    "vocab*",
    "special_tokens_map.json",
    "sentencepiece*",
    "spm*",
    "merges.txt",
    "added_tokens*",
)


def read(files: ModelFiles) -> tuple[Any, Tokenizer]:
    """Return the model in single precision, and its tokenizer.

    Raises:
        ModelError: it cannot be read, or is no cross-encoder with one logit or two.
    """
    try:
        model = AutoModelForSequenceClassification.from_pretrained(files.directory, dtype="float32")
    except (OSError, ValueError) as problem:
        raise ModelError(f"{files.name} cannot be trained: {problem}") from problem
    if model.config.num_labels not in (1, 2):
        raise ModelError(f"{files.name} has {model.config.num_labels} labels; what is trained has one logit or two")
    return model, load_tokenizer(files.directory)


def write(model: Any, source: ModelFiles, target: Path, record: Mapping[str, Any]) -> None:
    """Write the weights in half precision, the tokenizer's files as they are, and how it was trained."""
    target.mkdir(parents=True, exist_ok=True)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model.half().save_pretrained(target)
    for pattern in _KEPT:
        for file in source.directory.glob(pattern):
            shutil.copyfile(file, target / file.name)
    (target / "training.json").write_text(json.dumps(dict(record), indent=2) + "\n", encoding="utf-8")
