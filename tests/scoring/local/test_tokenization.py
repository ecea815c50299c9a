"""Query and document encoded apart and joined are what transformers gives for the pair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel

from sidecar.errors import ModelError
from sidecar.scoring.local.tokenization import PairTokenizer, load_tokenizer, longest_first
from tests.checkpoints import make_checkpoint
from tests.scoring.families import FAMILIES, write

_WORDS = ["zip", "archive", "the mean of", "a", "Naïve", "Straße", "東京", "\N{GRINNING FACE}", "x" * 120, "e\u0301"]
_ODD = ["[SEP]", "[CLS]", "</s>", "<mask>", "\x00", "\n\t", "\u200b", "  ", "...", "##ing"]
TEXTS = st.lists(st.sampled_from(_WORDS + _ODD) | st.text(max_size=8), max_size=60).map(" ".join)


@dataclass(frozen=True)
class Family:
    """Transformers' tokenizer, and the directory that both are read from."""

    theirs: Any
    directory: Path


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    directory = tmp_path_factory.mktemp(request.param)
    return Family(write(request.param, directory), directory)


@given(query=TEXTS, document=TEXTS, max_length=st.integers(8, 64))
@settings(max_examples=100, deadline=None)
def test_joined_pair_is_the_tokenizers_pair(family: Family, query: str, document: str, max_length: int) -> None:
    ours = PairTokenizer(load_tokenizer(family.directory), max_length)
    [asked, text] = ours.encode([query, document])
    [pair] = ours.join(asked, [text])
    theirs = family.theirs(  # a batch of one: given bare, an empty document counts as no pair
        [query], [document], truncation="longest_first", max_length=max_length, return_token_type_ids=True
    )
    assert [pair.ids.tolist()] == theirs["input_ids"]
    assert [pair.type_ids.tolist()] == theirs["token_type_ids"]
    assert theirs["attention_mask"] == [[1] * len(pair)]


@given(query=st.integers(0, 30), document=st.integers(0, 80), max_length=st.integers(8, 64))
@settings(max_examples=60, deadline=None)
def test_what_is_said_to_be_read_of_a_text_are_the_tokens_that_are_kept(
    family: Family, query: int, document: int, max_length: int
) -> None:
    ours = PairTokenizer(load_tokenizer(family.directory), max_length)
    text = " ".join(["zip", "archive"] * document)
    [asked, ids] = ours.encode(["mean " * query, text])
    [read] = ours.read(asked, [text], None)
    kept = longest_first(len(asked), len(ids), ours.room)[1]
    assert (read == len(text)) == (kept == len(ids))
    known = max(0, kept - 1)  # the last token may be a part of a word, which alone is another token
    assert ours.encode([text[:read]])[0].tolist()[:known] == ids[:known].tolist()


_RUNS = ["zip", "東京", "x" * 99, "x" * 101, "e\u0301", "\N{GRINNING FACE}", "[SEP]", ".", "\x00", "\u3000", "\n"]
LONG = st.lists(
    st.tuples(st.sampled_from(_RUNS), st.sampled_from(["", " ", "  ", "\n"]), st.integers(1, 400)), max_size=6
)


@given(runs=LONG, tokens=st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_what_is_kept_of_a_long_text_is_the_beginning_of_all_its_tokens(
    family: Family, runs: list[tuple[str, str, int]], tokens: int
) -> None:
    text = "".join((word + between) * count for word, between, count in runs)
    tokenizer = load_tokenizer(family.directory)
    [kept] = PairTokenizer(tokenizer, 64).encode([text[: 128 * tokens]], tokens)
    assert kept.tolist() == tokenizer.encode(text[: 128 * tokens], add_special_tokens=False).ids[:tokens]


@pytest.mark.parametrize("word", ["archive", "x" * 99 + "y", "x" * 110, "東京archive", "archive\x00"])
def test_a_word_that_is_cut_in_two_is_not_kept(family: Family, word: str) -> None:
    """Lines without spaces: there is no place between two words to cut at."""
    tokenizer = load_tokenizer(family.directory)
    text = f"{word}\n" * 400
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    ours = PairTokenizer(tokenizer, 64)
    for tokens in range(1, 160):
        [kept] = ours.encode([text], tokens)
        assert kept.tolist() == ids[:tokens]


def test_little_of_a_long_text_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = PairTokenizer(load_tokenizer(make_checkpoint(tmp_path)), 512)
    encoded, encode = [0], tokenizer._encoded

    def counted(texts: list[str]) -> list[list[int]]:
        encoded[0] += sum(map(len, texts))
        return encode(texts)

    monkeypatch.setattr(tokenizer, "_encoded", counted)
    [kept] = tokenizer.encode(["an archive " * 100_000], 509)
    assert (len(kept), encoded[0]) == (509, 3049)
    assert [len(kept) for kept in tokenizer.encode([" " * 1_000_000, "\x00" * 1_000_000], 509)] == [0, 0]
    assert encoded[0] < 509 * 1000


def test_families_differ(tmp_path: Path) -> None:
    """The property above is about different templates, not one template six times."""
    pairs = {name: write(name, tmp_path / name)("", ".", return_token_type_ids=True) for name in FAMILIES}
    special = {name: len(pair["input_ids"]) - 1 for name, pair in pairs.items()}
    types = {name: pair["token_type_ids"][-1] for name, pair in pairs.items()}
    assert special == {"bert": 3, "bert-cased": 3, "distilbert": 3, "electra": 3, "roberta": 4, "xlm-roberta": 5}
    assert types == {"bert": 1, "bert-cased": 1, "distilbert": 1, "electra": 1, "roberta": 0, "xlm-roberta": 0}


@given(first=st.integers(0, 40), second=st.integers(0, 40), room=st.integers(2, 40))
def test_longest_first_cuts_the_longer_text_a_token_at_a_time(first: int, second: int, room: int) -> None:
    kept = longest_first(first, second, room)
    assert sum(kept) == min(first + second, room)
    short, long = sorted((first, second))
    expected = (short, room - short) if short <= room // 2 else (room // 2, room - room // 2)
    assert sorted(kept) == sorted((short, long) if first + second <= room else expected)


@given(query=TEXTS, documents=st.lists(TEXTS, max_size=6), max_length=st.integers(8, 40))
@settings(max_examples=50, deadline=None)
def test_pairs_joined_together_are_those_joined_alone(
    family: Family, query: str, documents: list[str], max_length: int
) -> None:
    tokenizer = PairTokenizer(load_tokenizer(family.directory), max_length)
    [asked, *texts] = tokenizer.encode([query, *documents])
    together = tokenizer.join(asked, texts)
    read = [(pair.ids.tobytes(), pair.type_ids.tobytes()) for pair in together]
    assert len({pair.key for pair in together}) == len(set(read))
    for pair, text in zip(together, texts, strict=True):
        [alone] = tokenizer.join(asked, [text])
        assert pair.key == alone.key
        assert pair.ids.tolist() == alone.ids.tolist()
        assert pair.type_ids.tolist() == alone.type_ids.tolist()


def test_passages_cover_the_document_and_fit_beside_the_query(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(load_tokenizer(make_checkpoint(tmp_path)), 23)
    [query, document] = tokenizer.encode(["zip", " ".join(["archive"] * 95)])
    passages = tokenizer.passages(query, document, size=10, stride=8, count=100)
    assert [len(passage) for passage in passages] == [10] * 11 + [7]
    assert sum(len(passage) for passage in passages) == len(document) + 2 * 11
    assert len(tokenizer.passages(query, document, size=10, stride=8, count=3)) == 3
    assert [len(p) for p in tokenizer.passages(query, document, size=500, stride=400, count=1)] == [23 - 3 - len(query)]
    assert [len(passage) for passage in tokenizer.passages(query, document[:0], 10, 8, 3)] == [0]


def test_vocabulary_of_old_repositories_is_enough(tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path)
    expected = load_tokenizer(directory).encode("Zip files", "an archive").ids
    (directory / "tokenizer.json").unlink()
    assert load_tokenizer(directory).encode("Zip files", "an archive").ids == expected


def test_no_tokenizer_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"no usable tokenizer \(tokenizer.json or vocab.txt\)"):
        load_tokenizer(tmp_path)


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path)
    (directory / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer.json: not a tokenizer that can be read .*; download the model"):
        load_tokenizer(directory)


def test_length_without_room_for_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="max_length 4 leaves no room"):
        PairTokenizer(load_tokenizer(make_checkpoint(tmp_path)), 4)


def test_tokenizer_without_a_pair_template_is_refused() -> None:
    with pytest.raises(ModelError, match="the tokenizer cannot encode 'a'"):
        PairTokenizer(Tokenizer(WordLevel({"b": 0})), 64)
    with pytest.raises(ModelError, match="pair template could not be recognised"):
        PairTokenizer(Tokenizer(BPE({"b": 0}, [])), 64)
