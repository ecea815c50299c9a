"""The bundled model: what it can read, and what it tells apart."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer

from sidecar.scoring import CrossEncoder
from sidecar.scoring.models.files import find

FILES = find("bundled")


@pytest.fixture(scope="module")
def encoder() -> Iterator[CrossEncoder]:
    with CrossEncoder("bundled", threads=1) as made:
        yield made


def test_a_sign_beside_a_word_makes_nothing_unknown() -> None:
    tokenizer = Tokenizer.from_file(str(FILES.directory / "tokenizer.json"))
    for text in ("£48 €480 ¥9", "500°F 20 °C", "5½×2⅓ – 3—4", "it’s “quoted” Brand™ ©®", "10µm m² ≤5 ±3", "naïve café"):
        assert "[UNK]" not in tokenizer.encode(text).tokens, text
    words = ["usb", "sql", "xml", "samsung", "nike", "microwave", "azure", "authentication"]
    assert tokenizer.encode(" ".join(words), add_special_tokens=False).tokens == words


@pytest.mark.parametrize(
    ("query", "right", "wrong"),
    [
        ("bake bread at 500°F", "Bake the bread at 500°F.", "Bake the bread at 140°F."),
        ("headphones under £48", "Headphones for £48", "Headphones for £250"),
        ("wall anchor ½ inch", "Wall anchor, ½ inch", "Wall anchor, ¾ inch"),
        ("memory card €20", "Memory card, €20", "Memory card, $20"),
        ("stroller without wheels", "Stroller without wheels", "Stroller with wheels"),
    ],
)
def test_numbers_units_and_negations_are_told_apart(encoder: CrossEncoder, query: str, right: str, wrong: str) -> None:
    scores = encoder.predict([(query, right), (query, wrong)])
    assert scores[0] > scores[1]


def test_the_files_agree_and_fit_the_package() -> None:
    config, record = FILES.config(), json.loads((FILES.directory / "training_record.json").read_text())
    tokens = (FILES.directory / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(tokens) == config["vocab_size"] == record["vocabulary"]
    assert (FILES.directory / "model.safetensors").stat().st_size <= 32 << 20
