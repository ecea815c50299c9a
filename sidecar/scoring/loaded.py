"""One model, ready to score: its tokenizer, its document cache, its backend and its scoring thread."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sidecar.config import model as config
from sidecar.scoring.cache import ByteCache
from sidecar.scoring.heads import Head, head_of, relevance
from sidecar.scoring.loading import ModelFiles, find
from sidecar.scoring.scheduler import Scheduler
from sidecar.scoring.tokenization import EncodedPair, Ids, PairTokenizer, load_tokenizer
from sidecar.scoring.types import ScoreRequest

Scalars = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request's pairs. ``owners[i]`` is the document that pair i is a passage of."""

    pairs: list[EncodedPair]
    owners: list[int]
    documents: int
    how: str

    def aggregate(self, scores: Scalars) -> Scalars:
        """Give `(documents,)` scores from `(pairs,)` ones: the passages' max, first or mean."""
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
    """A loaded model. ``encode`` is called from the tokenizing thread only, the rest from the event loop."""

    name: str
    files: ModelFiles
    tokenizer: PairTokenizer
    head: Head
    scheduler: Scheduler
    backend: Any
    documents: ByteCache[Ids]
    scores: ByteCache[float]

    def describe(self) -> dict[str, Any]:
        """Say what runs the model."""
        return {"head": self.head, "revision": self.files.revision, **self.backend.describe()}

    def relevance(self, logits: npt.NDArray[np.float32]) -> Scalars:
        """Give `(pairs,)` relevance from `(pairs, labels)` logits."""
        return relevance(logits, self.head)

    def known(self, pairs: Sequence[EncodedPair]) -> dict[int, float]:
        """Give the scores that are cached, by the pair's place."""
        found = {i: self.scores.get(pair.key) for i, pair in enumerate(pairs)} if self.scores.limit else {}
        return {i: score for i, score in found.items() if score is not None}

    def remember(self, pairs: Sequence[EncodedPair], scores: Scalars) -> None:
        """Cache scores, where the cache is on."""
        if self.scores.limit:
            for pair, score in zip(pairs, scores, strict=True):
                self.scores.put(pair.key, float(score), 8)

    def encode(self, request: ScoreRequest) -> Encoded:
        """Encode a request's pairs, each document from the cache where it is known."""
        [query] = self.tokenizer.encode([request.query])
        documents = self._documents(request)
        if request.passages is None:
            pairs = [self.tokenizer.join(query, document) for document in documents]
            return Encoded(pairs, list(range(len(pairs))), len(pairs), "first")
        wanted = request.passages
        pairs, owners = [], []
        for owner, document in enumerate(documents):
            for passage in self.tokenizer.passages(query, document, wanted.size, wanted.stride, wanted.max_count):
                pairs.append(self.tokenizer.join(query, passage))
                owners.append(owner)
        return Encoded(pairs, owners, len(documents), wanted.aggregate)

    def _documents(self, request: ScoreRequest) -> list[Ids]:
        keys = [_key(text, key) for text, key in zip(request.documents, _keys(request), strict=True)]
        known = [self.documents.get(key) for key in keys]
        missing = [i for i, ids in enumerate(known) if ids is None]
        fresh = dict(zip(missing, self.tokenizer.encode([request.documents[i] for i in missing]), strict=True))
        for i, ids in fresh.items():
            self.documents.put(keys[i], ids, ids.nbytes)
        return [ids if ids is not None else fresh[i] for i, ids in enumerate(known)]


def _keys(request: ScoreRequest) -> Sequence[bytes | None]:
    return request.keys or [None] * len(request.documents)


def _key(text: str, key: bytes | None) -> bytes:
    """Give a document's key: its text's hash too, since mappings may read other fields of the same version."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(key or b"")
    return digest.digest()


def load(model: config.Model, engine: config.Engine) -> Loaded:
    """Load one model and run it once.

    Raises:
        ModelError: it cannot be had.
    """
    files = find(model.model, model.revision)
    length = min(model.max_length or engine.max_length, _positions(files) or 1 << 30)
    tokenizer = PairTokenizer(load_tokenizer(files.directory), length)
    backend = _backend(files, engine)
    head = head_of(backend.labels, model.head)
    [query, document] = tokenizer.encode(["warm up", "a first pair, so that no search waits for it"])
    backend.logits([tokenizer.join(query, document)] * 2)
    scheduler = Scheduler(backend, engine.token_budget)
    return Loaded(
        model.model,
        files,
        tokenizer,
        head,
        scheduler,
        backend,
        ByteCache(engine.document_cache),
        ByteCache(engine.score_cache),
    )


def _backend(files: ModelFiles, engine: config.Engine) -> Any:
    """Build what runs the model. `auto` is torch, the fastest measured (docs/performance.md), where it is installed."""
    if engine.backend == "onnx" or (engine.backend == "auto" and importlib.util.find_spec("torch") is None):
        from sidecar.scoring.backends.onnx import OnnxBackend

        return OnnxBackend(files, engine)
    from sidecar.scoring.backends.torch import TorchBackend

    return TorchBackend(files, engine)


def _positions(files: ModelFiles) -> int | None:
    """Give how many tokens the model has positions for; RoBERTa numbers them from its padding id on."""
    settings = files.config()
    positions = settings.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    offset = int(settings.get("pad_token_id", 0)) + 1 if "roberta" in str(settings.get("model_type")) else 0
    return positions - offset
