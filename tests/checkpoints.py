"""Small real checkpoints, built on the spot: seeded weights and a WordPiece tokenizer in Hugging Face layout."""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, BertConfig, PretrainedConfig

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclass(frozen=True)
class Shape:
    """The shape of an encoder."""

    layers: int
    width: int
    heads: int
    inner: int


TINY = Shape(2, 32, 2, 64)
L2 = Shape(2, 128, 2, 512)
L4 = Shape(4, 312, 12, 1200)
L6 = Shape(6, 768, 12, 3072)


def vocabulary(size: int | None = None) -> list[str]:
    """Return special tokens, characters, and the words of the standard library's own documentation."""
    pieces = [
        *SPECIAL,
        *string.printable.lower().split()[0],
        *("##" + c for c in string.ascii_lowercase + string.digits),
    ]
    source = Path(json.__file__).parent.parent
    text = " ".join(
        (source / name).read_text(encoding="utf-8") for name in ("argparse.py", "zipfile.py", "statistics.py")
    )
    words = [*pieces, *re.findall(r"[a-z]{2,}", text.lower())]
    kept = list(dict.fromkeys(word for word in words if word.strip()))
    if size is not None:
        kept = (kept + [f"[unused{i}]" for i in range(size)])[:size]
    return kept


def wordpiece(tokens: list[str]) -> Tokenizer:
    """Return a BERT tokenizer of these tokens."""
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))  # noqa: S106 - a token of the vocabulary
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def make_checkpoint(
    path: Path, *, shape: Shape = TINY, labels: int = 1, seed: int = 0, size: int | None = None, **config: Any
) -> Path:
    """Write a BERT cross-encoder of ``shape`` with ``labels`` outputs; give its folder."""
    tokens = vocabulary(size)
    settings = BertConfig(
        vocab_size=len(tokens),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        **({"num_labels": labels} | config),
    )
    write_model(path, settings, seed)
    wordpiece(tokens).save(str(path / "tokenizer.json"))
    (path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))
    return path


def write_model(path: Path, settings: PretrainedConfig, seed: int = 0, spread: float = 1.0) -> None:
    """Write seeded weights; larger than BERT's own start (``spread`` times more), so that scores differ visibly."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(settings)  # type: ignore[no-untyped-call]  # untyped library
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, spread * (0.08 if "embeddings" in name else 0.5 / parameter.shape[1] ** 0.5))
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path)
