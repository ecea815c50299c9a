"""How the bundled model is made, in small: a seeded encoder, a few groups, a few steps.

`scripts/train_demo_model` takes hours.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elasticsearch import Elasticsearch
from tokenizers import Tokenizer
from training import bundle, mine, splits, student, train
from training.collections import Group
from training.vocabulary import kept, use_in
from transformers import BertConfig, BertModel

from sidecar.scoring import CrossEncoder
from tests.checkpoints import vocabulary, wordpiece

QUERIES = ["read a zip archive", "the mean of data", "parse an option", "write a file"]
TEXTS = [
    "open the archive file and read",
    "compute the mean value of data",
    "an option of the parser",
    "file write mode",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A six-layer encoder in the layout of the pretrained one."""
    directory = tmp_path_factory.mktemp("encoder")
    tokens = vocabulary()
    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    model = BertModel(BertConfig(vocab_size=len(tokens), **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.5 / parameter.shape[1] ** 0.5)
    model.save_pretrained(directory)
    wordpiece(tokens).save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mined groups: each query's own text first, the others' as negatives."""
    file = tmp_path_factory.mktemp("mined") / "groups.jsonl"
    rows = []
    for i, query in enumerate(QUERIES * 6):
        right = TEXTS[i % 4]
        texts = [right, *(text for text in TEXTS if text != right)]
        rows.append({"collection": "wiki", "query": query, "texts": texts, "labels": [1, 0, 0, 0]})
    lines = (json.dumps(row | {"teacher": [0.8, 0.2, 0.1, 0.1]}) for row in rows)
    file.write_text("\n".join(lines) + "\n")
    return file


def made(encoder: Path, output: Path, size: int = 400) -> tuple[Any, Tokenizer, list[str]]:
    whole = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokens = kept(whole.get_vocab(), use_in([*QUERIES, *TEXTS], whole), size)
    student.write_tokenizer(encoder, output, tokens, 512)
    torch.manual_seed(2)
    return (
        student.build(encoder, tokens, whole.get_vocab()),
        Tokenizer.from_file(str(output / "tokenizer.json")),
        tokens,
    )


def test_the_student_starts_as_the_encoders_layers_and_words(encoder: Path, tmp_path: Path) -> None:
    model, tokenizer, tokens = made(encoder, tmp_path)
    teacher, old = BertModel.from_pretrained(encoder), wordpiece(vocabulary()).get_vocab()
    assert len(tokens) == 400
    assert tokenizer.encode(QUERIES[0], TEXTS[0]).tokens[:4] == ["[CLS]", "read", "a", "zip"]
    places = torch.tensor([old[token] for token in tokens])
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, teacher.embeddings.word_embeddings.weight[places])
    ours, theirs = model.bert.encoder.state_dict(), teacher.encoder.state_dict()
    for new, layer in enumerate(student.LAYERS):
        name = "layer.{}.output.dense.weight"
        assert torch.equal(ours[name.format(new)], theirs[name.format(layer)])


def test_signs_and_words_that_are_needed_are_kept_before_rare_pieces() -> None:
    ids = {
        token: i
        for i, token in enumerate(["[PAD]", "[UNK]", "[unused1]", "rare", "£", "##°", "usb", "1984", "東", "б"])
    }
    assert kept(ids, {"usb": 3.0, "rare": 0.1, "東": 99.0}, 6) == ["[PAD]", "[UNK]", "£", "##°", "usb", "1984"]
    assert "東" not in kept(ids, {}, 100)


def test_a_trained_student_gets_cut_tokens_back_and_says_the_same(encoder: Path, tmp_path: Path) -> None:
    model, tokenizer, tokens = made(encoder, tmp_path, 300)
    ids = wordpiece(vocabulary()).get_vocab()
    pair = tokenizer.encode(QUERIES[0], TEXTS[0])
    before = model(torch.tensor([pair.ids])).logits
    student.retokenize(model, encoder, sorted(ids, key=ids.__getitem__), ids)
    whole = wordpiece(vocabulary()).encode(QUERIES[0], TEXTS[0])
    assert [tokens[i] for i in pair.ids] == whole.tokens
    torch.testing.assert_close(model(torch.tensor([whole.ids])).logits, before)


def weights(model: Any) -> list[np.ndarray[Any, Any]]:
    return [parameter.detach().numpy().copy() for parameter in model.parameters()]


def test_training_learns_and_takes_up_where_it_was_stopped(
    encoder: Path, groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = train.Settings(groups=4, texts=4, learning_rate=2e-3, passes=4, checkpoint_every=1)
    whole, tokenizer, _ = made(encoder, tmp_path / "model")
    rows = train.batches(groups, settings)[0]
    with torch.no_grad():
        before = float(train.loss_of(whole(**train.collate(tokenizer, rows)).logits.squeeze(-1), rows))
    (tmp_path / "whole").mkdir()
    train.train(whole, tokenizer, groups, tmp_path / "whole", settings)
    with torch.no_grad():
        after = float(train.loss_of(whole(**train.collate(tokenizer, rows)).logits.squeeze(-1), rows))
    assert after < 0.6 * before

    (tmp_path / "stopped").mkdir()
    first, _, _ = made(encoder, tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(train, "collate", Stopping(train.collate, after=9))
        with pytest.raises(KeyboardInterrupt):
            train.train(first, tokenizer, groups, tmp_path / "stopped", settings)
    second, _, _ = made(encoder, tmp_path / "model")
    train.train(second, tokenizer, groups, tmp_path / "stopped", settings)
    for ours, theirs in zip(weights(second), weights(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


class Stopping:
    """Runs out of patience, as a person with Ctrl-C."""

    def __init__(self, work: Any, after: int) -> None:
        self._work, self._left = work, after

    def __call__(self, *words: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._work(*words)


def test_the_loss_is_lower_where_the_right_text_leads() -> None:
    row = {"texts": ["right", "wrong"], "teacher": [0.6, 0.3]}
    right = train.loss_of(torch.tensor([2.0, 0.0]), [row])
    wrong = train.loss_of(torch.tensor([0.0, 2.0]), [row])
    assert float(right) < float(wrong)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [train.schedule(step, 100, 0.1) for step in (0, 9, 10, 55, 100)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_what_is_written_scores_and_says_how_it_was_made(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_VERSIONS", ("torch", "tokenizers"))  # the encoder's package is not installed here
    model, _, _ = made(encoder, tmp_path)
    bundle.write(model, tmp_path, {"layers": student.LAYERS})
    assert set(json.loads((tmp_path / "training_record.json").read_text())) == {
        "layers",
        "vocabulary",
        "versions",
        "sha256",
    }
    with CrossEncoder(str(tmp_path)) as written:
        assert np.isfinite(written.predict([(QUERIES[0], TEXTS[0])])).all()


def test_weights_that_the_package_may_not_carry_are_refused(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LIMIT", 1000)
    model, _, _ = made(encoder, tmp_path)
    with pytest.raises(SystemExit, match="more than 1000: trim the vocabulary"):
        bundle.write(model, tmp_path, {})


def test_negatives_are_hits_that_do_not_answer(elasticsearch_url: str) -> None:
    found = [Group("wiki", query, (text,)) for query, text in zip(QUERIES, TEXTS, strict=True)]
    others = [f"read, parse and write the data of file {i}" for i in range(40)]
    with Elasticsearch(elasticsearch_url) as client:
        mine.index(client, {"wiki": [*TEXTS, *others]})
        ready = list(mine.mined(client, found, random.Random(1)))
        client.indices.delete(index="train-wiki")
    for group, text in zip(ready, TEXTS, strict=True):
        assert group.positives == (text,)
        assert len(group.negatives) == mine.NEGATIVES
        assert text not in group.negatives


def test_movies_are_split_and_not_their_queries() -> None:
    held_out = [str(i) for i in range(200) if splits.is_test_movie(str(i))]
    trained = [str(i) for i in range(200) if not splits.is_test_movie(str(i))]
    assert 20 <= len(held_out) <= 60
    assert splits.movie_part(held_out[:3]) == "test"
    assert splits.movie_part(trained[:3]) == "train"
    assert splits.movie_part([held_out[0], trained[0]]) is None


def test_a_question_is_on_one_side_however_it_is_typed() -> None:
    sides = {splits.is_test_question(text) for text in ("Who wrote Hamlet?", "  who wrote hamlet?\n")}
    assert len(sides) == 1
