"""Hard negatives from a real Elasticsearch (BM25, english analyzer) and the teacher's similarities.

Output: one JSON line a group, `{"collection", "query", "texts": [...], "labels": [...], "teacher": [...]}`;
positives first. The teacher is the whole pretrained sentence encoder; its cosine similarities carry what it
learnt of kinds of text that these collections lack.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from elasticsearch import Elasticsearch, helpers
from rich.progress import track

from training import collections
from training.collections import Group
from training.encoder import SentenceEncoder

NEGATIVES = 6
_MINED = 40
_SAMPLE = {"sentences": 9000, "medquad": 2500, "wiki": 4000, "pubmed": 903, "movies": 6000, "scifact": 809}
_SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0}
_MAPPINGS = {"properties": {"text": {"type": "text", "analyzer": "english"}}}


def groups(data: Path, rng: random.Random) -> list[Group]:
    """Return the training groups of all collections, a seeded sample of the large ones."""
    by_collection: dict[str, list[Group]] = {}
    for group in (*collections.questions(data), *_scifact(data), *movie_groups(data, rng)):
        by_collection.setdefault(group.collection, []).append(group)
    return [
        group for name, found in by_collection.items() for group in rng.sample(found, min(len(found), _SAMPLE[name]))
    ]


def _scifact(data: Path) -> Iterator[Group]:
    corpus = collections.scifact_corpus(data)
    for _, claim, grades in collections.scifact(data, "train"):
        yield Group("scifact", claim, tuple(corpus[document] for document in grades))


def movie_groups(data: Path, rng: random.Random) -> Iterator[Group]:
    """Yield a group of each training query on movies, with the wrong ones that were judged for it."""
    corpus = collections.movie_corpus(data)
    for _, query, grades in collections.movies(data, "train"):
        known = [(corpus[movie], grade) for movie, grade in grades.items() if movie in corpus]
        right = [collections.movie_text(movie) for movie, grade in known if grade]
        wrong = [collections.movie_text(movie) for movie, grade in known if not grade]
        if right and wrong:
            yield Group("movies", query, (rng.choice(right),), tuple(rng.sample(wrong, min(len(wrong), NEGATIVES))))


def corpora(found: Iterable[Group], data: Path) -> dict[str, list[str]]:
    """Return the distinct texts of each collection, which negatives are mined from."""
    texts: dict[str, dict[str, None]] = {"scifact": dict.fromkeys(collections.scifact_corpus(data).values())}
    for group in found:
        if group.collection != "movies":
            texts.setdefault(group.collection, {}).update(dict.fromkeys((*group.positives, *group.negatives)))
    return {name: list(known) for name, known in texts.items()}


def index(client: Elasticsearch, texts: dict[str, list[str]]) -> None:
    """Index each collection's texts as `train-NAME`."""
    for name, known in texts.items():
        client.indices.delete(index=f"train-{name}", ignore_unavailable=True)
        client.indices.create(index=f"train-{name}", settings=_SETTINGS, mappings=_MAPPINGS)
        actions = ({"_index": f"train-{name}", "_id": str(i), "text": text} for i, text in enumerate(known))
        helpers.bulk(client, actions, chunk_size=1000, refresh=True)


def batches(found: list[Group], size: int) -> list[list[Group]]:
    """Cut a list into lists of ``size``."""
    return [found[start : start + size] for start in range(0, len(found), size)]


def mined(client: Elasticsearch, found: list[Group], rng: random.Random) -> Iterator[Group]:
    """Fill each group's negatives with BM25 hits that are not its positives."""
    for some in track(batches(found, 64), description="mining negatives"):
        wanting = [g for g in some if len(g.negatives) < NEGATIVES and g.collection != "movies"]
        hits = dict(zip(map(id, wanting), _search(client, wanting), strict=True))
        for group in some:
            extra = [text for text in hits.get(id(group), []) if text not in group.positives]
            negatives = list(group.negatives) + _pick(extra, NEGATIVES - len(group.negatives), rng)
            yield replace(group, negatives=tuple(rng.sample(negatives, min(len(negatives), NEGATIVES))))


def _search(client: Elasticsearch, wanting: list[Group]) -> list[list[str]]:
    searches: list[dict[str, object]] = []
    for group in wanting:
        searches += [{"index": f"train-{group.collection}"}]
        searches += [{"size": _MINED, "query": {"match": {"text": group.query[:1000]}}}]
    responses = client.msearch(searches=searches)["responses"] if searches else []
    refused = [response["error"] for response in responses if "error" in response]
    if refused:
        raise RuntimeError(f"Elasticsearch refused a search: {refused[0]}")
    return [[hit["_source"]["text"] for hit in response["hits"]["hits"]] for response in responses]


def _pick(texts: list[str], count: int, rng: random.Random) -> list[str]:
    """Half from the very top, where BM25 is most wrong, half from the rest of what it found."""
    if count <= 0:
        return []
    top, rest = texts[: count * 2], texts[count * 2 :]
    chosen = rng.sample(top, min(len(top), (count + 1) // 2))
    return chosen + rng.sample(rest, min(len(rest), count - len(chosen)))


def write(client: Elasticsearch, data: Path, output: Path, encoder: SentenceEncoder, seed: int) -> int:
    """Mine all groups, add the teacher's similarities, and write them; give their number."""
    rng = random.Random(seed)
    found = groups(data, rng)
    index(client, corpora(found, data))
    ready = [group for group in mined(client, found, rng) if group.negatives]
    encoder.prepare(dict.fromkeys(text for g in ready for text in (g.query, *g.positives[:1], *g.negatives)))
    rng.shuffle(ready)
    with output.with_suffix(".tmp").open("w", encoding="utf-8") as lines:
        for group in ready:
            lines.write(json.dumps(_line(group, encoder)) + "\n")
    output.with_suffix(".tmp").rename(output)
    return len(ready)


def _line(group: Group, encoder: SentenceEncoder) -> dict[str, object]:
    texts = (group.positives[0], *group.negatives)
    return {
        "collection": group.collection,
        "query": group.query,
        "texts": texts,
        "labels": [1] + [0] * len(group.negatives),
        "teacher": encoder.similarities(group.query, texts),
    }
