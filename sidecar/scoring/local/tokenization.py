"""Pairs as token ids: query and documents are encoded apart and joined as the tokenizer would join them.

Encoding apart lets document encodings be kept between searches, and a query be encoded once for its hundred
documents. The joined ids and type ids are those of encoding the pair, `longest_first` truncation included
(what sentence-transformers' CrossEncoder does); property tests hold them against the tokenizer itself.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sidecar.config.model import Passages
from sidecar.errors import ModelError
from sidecar.scoring.models.files import INSTALL_TORCH

Ids = npt.NDArray[np.int32]
_PROBE = "a"
LONGEST_QUERY = 4096
"""Tokens of a query that are read: far more than fit, since what is kept of a long document depends on them."""

_CHARACTERS = (6, 24, 128)
"""Characters for each token that is wanted, tried in turn; where even the last are too few, the text ends there."""
_LEAST = 1024
_LONGEST_WORD = 128  # WordPiece knows none of more than 100 characters
_NO_TOKENIZER = "no usable tokenizer (tokenizer.json or vocab.txt)"


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """One pair's ``ids`` and ``type_ids``, `(tokens,)` int32 each; equal ``key`` means equal input to the model."""

    ids: Ids
    type_ids: Ids
    key: bytes

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Template:
    """What stands before, between and after the two texts, and the type ids of each part."""

    before: Ids
    between: Ids
    after: Ids
    types: Ids

    @property
    def special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of two texts stay when both must fit into ``room``.

    The longer one is cut until both are equally long, then both. Source: the `tokenizers` library's
    `TruncationStrategy::LongestFirst`.
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    kept_short, kept_long = (short, room - short) if short <= room - short else (room // 2, room - room // 2)
    return (kept_short, kept_long) if first <= second else (kept_long, kept_short)


def beginning(text: str, characters: int) -> tuple[str, int]:
    """Cut a text, between two words where there are any.

    Returns:
        the beginning, and how many of its last tokens may differ from those of the whole text: words are encoded
        independently of each other, but one that is cut in two is another word.
    """
    if len(text) <= characters:
        return text, 0
    space = text.rfind(" ", characters - _LONGEST_WORD, characters + 1) if characters > _LONGEST_WORD else -1
    if space > 0 and (cut := text[:space].rstrip()):
        return cut, 0
    return text[:characters], _LONGEST_WORD


class PairTokenizer:
    """Encodes texts apart and joins them. Thread-safe: the tokenizer is only read."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._template = _probe(tokenizer)
        self._room = max_length - self._template.special
        if self._room < 2:
            raise ModelError(f"max_length {max_length} leaves no room for text beside the special tokens")

    @property
    def room(self) -> int:
        """Tokens of query and document together that fit."""
        return self._room

    def encode(self, texts: Sequence[str], tokens: int = LONGEST_QUERY) -> list[Ids]:
        """Return the first ``tokens`` of each text, without special tokens.

        Texts are cut before they are encoded: a megabyte takes a second, and its beginning is all that is read.
        """
        found: dict[int, Ids] = {}
        for characters in _CHARACTERS:
            left = [i for i in range(len(texts)) if i not in found]
            if not left:
                break
            cut = [beginning(texts[i], max(tokens * characters, _LEAST)) for i in left]
            for i, (text, spare), ids in zip(left, cut, self._encoded([text for text, _ in cut]), strict=True):
                whole = len(text) == len(texts[i]) or characters == _CHARACTERS[-1]
                if whole or len(ids) >= tokens + spare:
                    found[i] = np.array(ids[:tokens], dtype=np.int32)
        return [found[i] for i in range(len(texts))]

    def read(self, query: Ids, texts: Sequence[str], passages: Passages | None) -> list[int]:
        """Return how many characters of each text the model reads: up to the last token that is kept.

        As `encode` does, it looks no further into a text than its tokens may lie.
        """
        wanted = self.wanted(query, passages)
        cut = [beginning(text, max(wanted * _CHARACTERS[-1], _LEAST))[0] for text in texts]
        found = []
        for text, encoded in zip(texts, self._tokenizer.encode_batch(cut, add_special_tokens=False), strict=True):
            ends = [end for _, end in encoded.offsets]
            kept = wanted if passages else longest_first(len(query), len(ends), self._room)[1]
            found.append(len(text) if len(ends) <= kept else ends[kept - 1] if kept else 0)
        return found

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        encode = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        return [encoded.ids for encoded in encode(texts, add_special_tokens=False)]

    def join(self, query: Ids, documents: Sequence[Ids]) -> list[EncodedPair]:
        """Join a query and each of its documents as the tokenizer's pair template does."""
        template = self._template
        whole = np.concatenate((template.before, query, template.between))
        parts: list[Ids] = []
        counts = np.empty((len(documents), 5), dtype=np.int64)
        counts[:, ::2] = (len(template.before), len(template.between), len(template.after))
        for i, document in enumerate(documents):
            head = whole
            if len(query) + len(document) > self._room:
                kept, kept_document = longest_first(len(query), len(document), self._room)
                head = np.concatenate((template.before, query[:kept], template.between))
                document = document[:kept_document]
            counts[i, 1::2] = (len(head) - len(whole) + len(query), len(document))
            parts += (head, document, template.after)
        return _split(parts, np.repeat(np.tile(template.types, len(documents)), counts.reshape(-1)), counts)

    def wanted(self, query: Ids, passages: Passages | None) -> int:
        """Return how many of a document's first tokens matter: to the pair, or to all passages together.

        Of two texts that both are too long, the longer one keeps the odd token: as many as the query has must be known.
        """
        if passages is None:
            return max(self._room, len(query))
        return passages.size + passages.stride * (passages.max_count - 1)

    def passages(self, query: Ids, document: Ids, size: int, stride: int, count: int) -> list[Ids]:
        """Cut a document into at most ``count`` windows of ``size`` tokens, ``stride`` apart."""
        size = max(1, min(size, self._room - min(len(query), self._room - 1)))
        starts = range(0, max(1, len(document) - size + stride), stride)
        return [document[start : start + size] for start in starts[:count]]


def _split(parts: Sequence[Ids], types: Ids, counts: npt.NDArray[np.int64]) -> list[EncodedPair]:
    """Return each pair its part of the tokens of all: views, not copies."""
    ids = np.concatenate(parts) if parts else types
    bounds = itertools.pairwise([0, *counts.sum(axis=1).cumsum().tolist()])
    return [_pair(ids[start:end], types[start:end]) for start, end in bounds]


def _pair(ids: Ids, types: Ids) -> EncodedPair:
    """Name a pair by what the model reads: texts that differ in case, or after the cut, may be one to it."""
    digest = hashlib.blake2b(ids.data, digest_size=16)
    digest.update(types.data)
    return EncodedPair(ids, types, digest.digest())


def _probe(tokenizer: Tokenizer) -> _Template:
    """Learn the pair template by encoding a pair and finding the two texts in it.

    Raises:
        ModelError: the tokenizer does not put two texts one after the other.
    """
    try:
        text, pair = tokenizer.encode(_PROBE, add_special_tokens=False).ids, tokenizer.encode(_PROBE, _PROBE)
    except Exception as problem:  # the library raises bare ones
        raise ModelError(f"the tokenizer cannot encode {_PROBE!r}: {problem}") from problem
    size, starts = len(text), _starts(pair.ids, text)
    if size == 0 or len(starts) < 2:
        raise ModelError("the tokenizer's pair template could not be recognised")
    first, second = starts[0], starts[-1]
    types = pair.type_ids
    ids: Any = np.array(pair.ids, dtype=np.int32)
    return _Template(
        before=ids[:first],
        between=ids[first + size : second],
        after=ids[second + size :],
        types=np.array(
            [
                types[0],
                types[first],
                types[first + size] if second > first + size else types[first],
                types[second],
                types[-1],
            ],
            dtype=np.int32,
        ),
    )


def _starts(ids: Sequence[int], part: Sequence[int]) -> list[int]:
    return [i for i in range(len(ids) - len(part) + 1) if list(ids[i : i + len(part)]) == list(part)]


def load_tokenizer(directory: Path) -> Tokenizer:
    """Load `tokenizer.json`, or build the fast tokenizer from what an older repository has.

    Raises:
        ModelError: there is no usable tokenizer.
    """
    file = directory / "tokenizer.json"
    if file.exists():
        try:
            return Tokenizer.from_file(str(file))
        except Exception as problem:  # the library raises bare ones
            message = f"{file}: not a tokenizer that can be read ({problem}); download the model again"
            raise ModelError(message) from problem
    return _made(directory)


def _made(directory: Path) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as problem:
        message = f"{directory} has no tokenizer.json, and making it needs the extra `torch`: {INSTALL_TORCH}"
        raise ModelError(message) from problem
    try:
        fast: Any = AutoTokenizer.from_pretrained(directory, use_fast=True, trust_remote_code=False)
        found = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    except Exception as problem:
        raise ModelError(f"{directory}: {_NO_TOKENIZER}: {problem}") from problem
    if found.get_vocab_size(with_added_tokens=False) <= len(fast.all_special_tokens):
        raise ModelError(f"{directory}: {_NO_TOKENIZER}: it would know no words")  # what transformers makes of no files
    return found
