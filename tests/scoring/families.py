"""One tokenizer of each family, of the library's own class for it, its vocabulary made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from tokenizers.trainers import BpeTrainer, UnigramTrainer

from tests.checkpoints import vocabulary

_LIBRARY: Any = transformers  # it declares few types
_WORDS = [word for word in vocabulary() if word.isalpha()]


def _wordpiece(cls: Any, **options: Any) -> Callable[[], Any]:
    return lambda: cls(vocab={token: i for i, token in enumerate(vocabulary())}, **options)


def _roberta() -> Any:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_WORDS, trainer)
    model = _model(tokenizer)
    return _LIBRARY.RobertaTokenizerFast(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])


def _xlm_roberta() -> Any:
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False)  # noqa: S106 - a token of the vocabulary
    tokenizer.train_from_iterator(_WORDS, trainer)
    return _LIBRARY.XLMRobertaTokenizerFast(vocab=[tuple(piece) for piece in _model(tokenizer)["vocab"]])


def _model(tokenizer: Tokenizer) -> dict[str, Any]:
    return dict(json.loads(tokenizer.to_str())["model"])


FAMILIES: dict[str, Callable[[], Any]] = {
    "bert": _wordpiece(_LIBRARY.BertTokenizerFast),
    "bert-cased": _wordpiece(_LIBRARY.BertTokenizerFast, do_lower_case=False),
    "distilbert": _wordpiece(_LIBRARY.DistilBertTokenizerFast),
    "electra": _wordpiece(_LIBRARY.ElectraTokenizerFast),
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
}


def write(family: str, directory: Path) -> Any:
    """Write a family's tokenizer as a repository holds it, and give what transformers reads there."""
    FAMILIES[family]().save_pretrained(directory)
    return _LIBRARY.AutoTokenizer.from_pretrained(directory)
