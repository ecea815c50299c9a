"""What the engine benchmark scores with and on: checkpoints of the model card's shapes, and pairs of its lengths.

The weights are seeded, not trained: speed does not depend on them, and every contender gets the same ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.texts import Texts

_TOKENIZER = Path(__file__).parents[2] / "sidecar" / "bundled" / "minilm-l4-rescorer"
_MEAN_WORDS = 45.0  # makes pairs of 68 tokens in the mean, MS MARCO's
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """An encoder's shape."""

    layers: int
    width: int
    heads: int
    inner: int

    @property
    def linear_flops(self) -> int:
        """Arithmetic of the linear layers for one token."""
        return self.layers * (8 * self.width**2 + 4 * self.width * self.inner)


SHAPES = {"L2": Shape(2, 128, 2, 512), "L4": Shape(4, 312, 12, 1200), "L6": Shape(6, 768, 12, 3072)}


@dataclass(frozen=True, slots=True)
class Request:
    """One query and its hundred documents."""

    query: str
    documents: Sequence[str]


def checkpoint(shape: Shape, directory: Path) -> Path:
    """Write a cross-encoder of this shape, in the layout of a hub repository."""
    import torch
    import transformers

    library: Any = transformers
    settings = library.BertConfig(
        vocab_size=len((_TOKENIZER / "vocab.txt").read_text(encoding="utf-8").splitlines()),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        num_labels=1,
    )
    torch.manual_seed(11)
    model = library.AutoModelForSequenceClassification.from_config(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:  # wider than BERT's own start, so that scores differ
                parameter.normal_(0, 0.7 / parameter.shape[1] ** 0.5)
    model.save_pretrained(directory)
    for name in _TOKENIZER_FILES:
        shutil.copy(_TOKENIZER / name, directory)
    return directory


def english() -> list[str]:
    """Return English words that the tokenizer knows, the most frequent first, and then longer ones made of two."""
    vocabulary = (_TOKENIZER / "vocab.txt").read_text(encoding="utf-8").splitlines()
    whole = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 1]
    rare = [first + second for first, second in zip(whole[3000::3], whole[5000::3], strict=False)]  # of several tokens
    return [*whole[:4000], *rare]


def requests(count: int, *, long: bool = False, documents: int = 100) -> list[Request]:
    """Return requests: 6 words each query, documents log-normal about 45 words, or all beyond 512 tokens."""
    texts = Texts(words=english())

    def passage() -> str:
        return texts.words(520) if long else texts.passage(_MEAN_WORDS)

    return [Request(texts.words(6), [passage() for _ in range(documents)]) for _ in range(count)]
