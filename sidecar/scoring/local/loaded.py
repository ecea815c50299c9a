"""One model, ready to score: its tokenizer, its document cache, its backend and its scoring thread."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.cache import ByteCache
from sidecar.config import model as config
from sidecar.scoring.local.backend import Backend
from sidecar.scoring.local.backends.rows import first_position
from sidecar.scoring.local.contest import Started, start
from sidecar.scoring.local.scheduler import Scheduler
from sidecar.scoring.local.tokenization import EncodedPair, Ids, PairTokenizer, load_tokenizer
from sidecar.scoring.models.files import ModelFiles, find
from sidecar.scoring.models.heads import Head, head_of, on_grid, relevance
from sidecar.scoring.scorer import ScoreRequest

Scalars = npt.NDArray[np.float32]
_STEP = 100_000
_READ = 4096  # about what is read of a long text


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request's pairs. ``owners[i]`` is the document that pair i is a passage of."""

    pairs: list[EncodedPair]
    owners: Sequence[int]
    documents: int
    how: str

    def pairs_of(self, documents: int) -> int:
        """Return how many pairs the first ``documents`` have."""
        return bisect_left(self.owners, documents)

    def first(self, pairs: int) -> Encoded:
        """Return the documents all of whose pairs are among the first ``pairs``."""
        documents = self.documents if pairs == len(self.pairs) else self.owners[pairs]
        kept = self.pairs_of(documents)
        return replace(self, pairs=self.pairs[:kept], owners=self.owners[:kept], documents=documents)

    def aggregate(self, scores: Scalars) -> Scalars:
        """Return `(documents,)` scores from `(pairs,)` ones: the passages' max, first or mean."""
        if len(self.pairs) == self.documents:
            return scores
        grouped: list[list[float]] = [[] for _ in range(self.documents)]
        for owner, score in zip(self.owners, scores, strict=True):
            grouped[owner].append(float(score))
        chosen: dict[str, Callable[[list[float]], float]] = {
            "max": max,
            "first": lambda values: values[0],
            "mean": lambda values: sum(values) / len(values),
        }
        return np.array([chosen[self.how](values) for values in grouped], dtype=np.float32)


@dataclass(slots=True)
class Loaded:
    """A loaded model. ``encoding`` is gone through in the tokenizing threads, the rest is the event loop's."""

    name: str
    files: ModelFiles
    tokenizer: PairTokenizer
    head: Head
    scheduler: Scheduler
    started: Started
    documents: ByteCache[Ids]
    scores: ByteCache[float]

    @property
    def backends(self) -> Sequence[Backend]:
        """What runs the model, one a device."""
        return self.started.backends

    def describe(self) -> dict[str, Any]:
        """Say what runs the model, and what it was chosen from; several devices are told one by one."""
        told = [backend.describe() for backend in self.backends]
        return {
            "head": self.head,
            "revision": self.files.revision,
            **(told[0] if len(told) == 1 else {"devices": told}),
            **self.started.describe(),
        }

    def stats(self) -> Counter[str]:
        """Return the backends' counters, added up."""
        return sum((Counter(backend.stats()) for backend in self.backends), Counter[str]())

    def relevance(self, logits: npt.NDArray[np.float32]) -> Scalars:
        """Return `(pairs,)` relevance from `(pairs, labels)` logits, rounded to the grid of the coarsest backend."""
        return on_grid(relevance(logits, self.head), max(backend.grid for backend in self.backends))

    def known(self, pairs: Sequence[EncodedPair]) -> dict[int, float]:
        """Return the scores that are cached, by the pair's place."""
        found = {i: self.scores.get(pair.key) for i, pair in enumerate(pairs)} if self.scores.limit else {}
        return {i: score for i, score in found.items() if score is not None}

    def remember(self, pairs: Sequence[EncodedPair], scores: Scalars) -> None:
        """Cache scores, where the cache is on."""
        if self.scores.limit:
            for pair, score in zip(pairs, scores, strict=True):
                self.scores.put(pair.key, float(score), 8)

    def encoding(self, request: ScoreRequest) -> Iterator[Encoded | None]:
        """Encode a request's pairs, a part at a time: None while there is more to do, and then the pairs.

        A step is short, so that threads can be shared out between requests and a late one is given up.
        """
        [query] = self.tokenizer.encode([request.query])
        documents = yield from self._documents(request, self.tokenizer.wanted(query, request.passages))
        yield self._joined(request, query, documents)

    def read(self, request: ScoreRequest) -> list[int]:
        """Return how many characters of each document the model reads."""
        [query] = self.tokenizer.encode([request.query])
        return self.tokenizer.read(query, request.documents, request.passages)

    def _joined(self, request: ScoreRequest, query: Ids, documents: Sequence[Ids]) -> Encoded:
        if request.passages is None:
            pairs = self.tokenizer.join(query, documents)
            return Encoded(pairs, range(len(pairs)), len(pairs), "first")
        wanted = request.passages
        cut = [self.tokenizer.passages(query, text, wanted.size, wanted.stride, wanted.max_count) for text in documents]
        owners = [owner for owner, passages in enumerate(cut) for _ in passages]
        pairs = self.tokenizer.join(query, [passage for passages in cut for passage in passages])
        return Encoded(pairs, owners, len(documents), wanted.aggregate)

    def _documents(self, request: ScoreRequest, tokens: int) -> Generator[None, None, list[Ids]]:
        """Encode the documents that the cache does not hold, some at a time."""
        keys = [tokens.to_bytes(8, "big") + _digest(text) for text in request.documents]
        found = [self.documents.get(key) for key in keys]
        missing = [i for i, ids in enumerate(found) if ids is None]
        for part in _parts(missing, [len(request.documents[i]) for i in missing]):
            for i, ids in zip(part, self.tokenizer.encode([request.documents[i] for i in part], tokens), strict=True):
                self.documents.put(keys[i], ids, ids.nbytes)
                found[i] = ids
            yield
        return [ids for ids in found if ids is not None]


def _parts(items: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Cut items into parts of about ``_STEP`` characters."""
    part: list[int] = []
    size = 0
    for item, characters in zip(items, sizes, strict=True):
        part.append(item)
        size += min(characters, _READ)
        if size >= _STEP:
            yield part
            part, size = [], 0
    if part:
        yield part


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def load(model: config.Model, engine: config.Engine) -> Loaded:
    """Load one model on every device it is to run on, and warm it up.

    Raises:
        ModelError: it is not available.
    """
    files = find(model.model, model.revision)
    length = min(model.max_length or engine.max_length, _positions(files) or 1 << 30)
    tokenizer = PairTokenizer(load_tokenizer(files.directory), length)
    started = start(files, engine, tokenizer, length)
    head = head_of(started.backends[0].labels, model.head)
    return Loaded(
        model.model,
        files,
        tokenizer,
        head,
        Scheduler(started.backends, speeds=started.speeds),
        started,
        ByteCache(engine.document_cache),
        ByteCache(engine.score_cache),
    )


def _positions(files: ModelFiles) -> int | None:
    """Return how many tokens the model has positions for; RoBERTa numbers them from its padding id on."""
    settings = files.config()
    positions = settings.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    return positions - first_position(settings)
