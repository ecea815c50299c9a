"""The engine's scores are transformers' own, to 1e-4 at fp32, for every family, head and company in a batch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sidecar.config import model as config
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import ScoreRequest
from tests.checkpoints import write_model
from tests.scoring.families import write

_LIBRARY: Any = transformers  # it declares few types
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
}
_DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 130}
_BERT = {**_SMALL, "vocab_size": 5000}
_ROBERTA = {**_SMALL, "vocab_size": 1000, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}

# family of tokenizer, configuration
MODELS: dict[str, tuple[str, Any]] = {
    "bert": ("bert", _LIBRARY.BertConfig(**_BERT, num_labels=1)),
    "bert with two logits": ("bert", _LIBRARY.BertConfig(**_BERT, num_labels=2)),
    "bert with relu": ("bert-cased", _LIBRARY.BertConfig(**_BERT, num_labels=1, hidden_act="relu")),
    "electra": ("electra", _LIBRARY.ElectraConfig(**_BERT, num_labels=1, embedding_size=16)),
    "electra with two logits": ("electra", _LIBRARY.ElectraConfig(**_BERT, num_labels=2, embedding_size=32)),
    "distilbert": ("distilbert", _LIBRARY.DistilBertConfig(**_DISTILBERT, vocab_size=5000, num_labels=1)),
    "roberta": ("roberta", _LIBRARY.RobertaConfig(**_ROBERTA, num_labels=1)),
    "xlm-roberta": ("xlm-roberta", _LIBRARY.XLMRobertaConfig(**_ROBERTA, num_labels=2)),
    "albert, which runs padded": ("bert", _LIBRARY.AlbertConfig(**_BERT, num_labels=1, embedding_size=16)),
}

QUERY = "how do I read a zip archive"
WORDS = ["zip", "archive", "file", "read", "the", "of", "a", "write", "mean", "argument", "parser", "value", "error"]


def documents(count: int = 30, seed: int = 1) -> list[str]:
    """Return texts of very different lengths, one of them empty, one too long for the models."""
    draw = random.Random(seed)
    drawn = [" ".join(draw.choices(WORDS, k=draw.randrange(1, 60))) for _ in range(count - 2)]
    return [*drawn, "", " ".join(draw.choices(WORDS, k=400))]


def reference(directory: Path, query: str, texts: Sequence[str], max_length: int = 128) -> list[float]:
    """Score each pair alone, as transformers does it."""
    tokenizer = _LIBRARY.AutoTokenizer.from_pretrained(directory)
    model = _LIBRARY.AutoModelForSequenceClassification.from_pretrained(directory).eval()
    scores = []
    with torch.inference_mode():
        for text in texts:
            encoded = tokenizer([query], [text], truncation="longest_first", max_length=max_length, return_tensors="pt")
            logits = model(**encoded).logits[0].tolist()
            scores.append(logits[0] if len(logits) == 1 else logits[1] - logits[0])
    return scores


async def scored(directory: Path, requests: Sequence[ScoreRequest], **settings: Any) -> list[list[float]]:
    """Score requests at the same time."""
    settings = {"backend": "torch", "dtype": "float32", "max_length": 128, "threads": 1, **settings}
    engine = Engine(config.Engine(model=str(directory), **settings))
    try:
        await engine.start()
        return [list(scores.values) for scores in await asyncio.gather(*map(engine.score, requests))]
    finally:
        await engine.close()


@pytest.fixture(scope="module", params=MODELS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    family, settings = MODELS[request.param]
    write_model(directory, settings, seed=3, spread=4.0)
    write(family, directory)
    return directory


async def test_scores_are_those_of_transformers(checkpoint: Path) -> None:
    texts = documents()
    [found] = await scored(checkpoint, [ScoreRequest(query=QUERY, documents=texts)])
    expected = reference(checkpoint, QUERY, texts)
    assert np.std(expected) > 0.1  # the weights are such that a wrong token would show
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("budget", [64, 300, 4096])
async def test_scores_do_not_depend_on_the_company(checkpoint: Path, budget: int) -> None:
    texts = documents()
    alone = await scored(checkpoint, [ScoreRequest(query=QUERY, documents=[text]) for text in texts], token_budget=64)
    shuffled = random.Random(budget).sample(range(len(texts)), len(texts))
    company = [ScoreRequest(query="the mean of a value", documents=documents(seed=9))]
    mixed = ScoreRequest(query=QUERY, documents=[texts[i] for i in shuffled])
    found = (await scored(checkpoint, [*company, mixed, *company], token_budget=budget))[1]
    np.testing.assert_allclose(found, [alone[i][0] for i in shuffled], atol=1e-4)


async def test_half_precision_does_not_tie_what_full_precision_tells_apart(checkpoint: Path) -> None:
    texts = documents(80)
    request = ScoreRequest(query=QUERY, documents=texts)
    [full] = await scored(checkpoint, [request])
    [half] = await scored(checkpoint, [request], dtype="bfloat16")
    assert len(set(half)) >= 0.9 * len(set(full))
    assert np.corrcoef(full, half)[0, 1] > 0.9
