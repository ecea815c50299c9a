"""The judged collections as indices: documents, queries that no training saw, grades, and the BM25 query of each."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from elasticsearch import Elasticsearch, helpers
from training import collections
from training.collections import Group

from sidecar.evaluation.asking.readers import Qrels

SEED: Final = 20261125
_MOVIE_QUERIES: Final = 500
_QUESTIONS: Final = 300
_PAGES: Final = 300
_ENGLISH: Final = {"type": "text", "analyzer": "english"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One collection. ``fields`` are the documents' that the model reads, ``body`` is the BM25 search."""

    name: str
    documents: dict[str, dict[str, Any]]
    properties: dict[str, Any]
    fields: tuple[str, ...]
    body: dict[str, Any]
    queries: dict[str, str]
    qrels: Qrels

    def sample(self, count: int | None) -> dict[str, str]:
        """Return a seeded sample of the queries, all of them for None; a smaller one is part of a larger one."""
        ids = list(self.queries)
        random.Random(SEED).shuffle(ids)
        return {query: self.queries[query] for query in ids[:count]}


def scifact(data: Path) -> Judged:
    """Return SciFact: 5,183 abstracts, the 300 claims of BEIR's test part."""
    rows = (data / "scifact" / "beir" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = {row["_id"]: {"title": row["title"], "text": row["text"]} for row in map(json.loads, rows)}
    test = list(collections.scifact(data, "test"))
    return Judged(
        name="scifact",
        documents=documents,
        properties={"title": _ENGLISH, "text": _ENGLISH},
        fields=("title", "text"),
        # BM25F: the best of Elasticsearch's ways to search two fields here, so that the bar is not set low.
        body={"query": {"combined_fields": {"query": "{{query}}", "fields": ["title", "text"]}}, "_source": False},
        queries={query: text for query, text, _ in test},
        qrels={query: grades for query, _, grades in test},
    )


def movies(data: Path) -> Judged:
    """Return the movies: 9,750 documents, queries of movies that were held out of training."""
    settings = json.loads((data / "msrd-movies" / "movies-index-settings.json").read_text(encoding="utf-8"))
    test = list(collections.movies(data, "test"))
    chosen = random.Random(SEED).sample(test, _MOVIE_QUERIES)
    fields = list(collections.MOVIE_FIELDS)
    movie_query = {"query": "{{query}}", "fields": fields, "type": "most_fields", "lenient": True}
    return Judged(
        name="movies",
        documents=collections.movie_corpus(data),
        properties=settings["mappings"]["properties"],
        fields=collections.MOVIE_FIELDS,
        # As the judgments were pooled: hits of another query are often unjudged, which counts as wrong.
        body={"query": {"multi_match": movie_query}, "_source": False},
        queries={query: text for query, text, _ in chosen},
        qrels={query: grades for query, _, grades in chosen},
    )


def general(data: Path) -> Judged:
    """Return the held-out general questions: the passages and sentences around them, those that answer graded 1."""
    groups = list(collections.questions(data, held_out=True))
    texts = {_id(text): text for group in groups for text in (*group.positives, *group.negatives)}
    chosen = random.Random(SEED).sample(range(len(groups)), _QUESTIONS)
    return Judged(
        name="general",
        documents={name: {"text": text} for name, text in texts.items()},
        properties={"text": _ENGLISH},
        fields=("text",),
        body={"query": {"match": {"text": "{{query}}"}}, "_source": False},
        queries={f"q{i}": groups[i].query for i in chosen},
        qrels={f"q{i}": {_id(text): 1 for text in groups[i].positives} for i in chosen},
    )


def products(data: Path) -> Judged:
    """Return the products: judged lists to be ordered, about 45 a query, of the half of the queries held out."""
    documents = collections.product_corpus(data)
    test = list(collections.products(data, "test"))
    for query, _, grades in test:
        for product in grades.keys() & documents.keys():
            documents[product].setdefault("judged_for", []).append(query)
    fields = list(collections.PRODUCT_FIELDS)
    search = {"combined_fields": {"query": "{{query}}", "fields": fields}}
    judged = {"term": {"judged_for": "{{query_id}}"}}
    return Judged(
        name="products",
        documents=documents,
        properties=dict.fromkeys(fields, _ENGLISH) | {"judged_for": {"type": "keyword"}},
        fields=collections.PRODUCT_FIELDS,
        # A product that no word of the query is in counts as found, last: only the order of the list is measured.
        body={"query": {"bool": {"should": search, "filter": judged}}, "_source": False},
        queries={query: text for query, text, _ in test},
        qrels={query: grades for query, _, grades in test},
    )


def howto(data: Path) -> Judged:
    """Return how-to questions and the pages of command line tools; a page is there once, as its query sees it."""
    groups = list(collections.pages(data, "howto", "test"))
    other = list(collections.pages(data, "howto", "train"))
    once = {group.positives[0].partition("\n")[0]: group for group in [*other, *groups]}
    test = [group for group in groups if once[group.positives[0].partition("\n")[0]] is group]
    return of_texts("howto", list(once.values()), random.Random(SEED).sample(test, min(_PAGES, len(test))))


def cmdlets(data: Path) -> Judged:
    """Return what examples of cmdlets do, and the cmdlets' reference pages."""
    groups = list(collections.pages(data, "cmdlets", "test"))
    return of_texts("cmdlets", [*collections.pages(data, "cmdlets", "train"), *groups], groups)


def articles(data: Path) -> Judged:
    """Return headings of technical articles, and the sections under them."""
    groups = list(collections.pages(data, "articles", "test"))
    chosen = random.Random(SEED).sample(groups, min(_PAGES, len(groups)))
    return of_texts("articles", [*collections.pages(data, "articles", "train"), *groups], chosen)


def conclusions(data: Path) -> Judged:
    """Return long queries, 43 words in the mean: conclusions of medical articles, and the abstracts without them."""
    groups = list(collections.conclusions(data, "test"))
    return of_texts("conclusions", [*collections.conclusions(data, "train"), *groups], groups)


def of_texts(name: str, groups: Sequence[Group], test: Sequence[Group]) -> Judged:
    """Return a collection of one text field, whose queries are those of ``test``."""
    texts = {_id(text): text for group in groups for text in group.positives}
    return Judged(
        name=name,
        documents={key: {"text": text} for key, text in texts.items()},
        properties={"text": _ENGLISH},
        fields=("text",),
        body={"query": {"match": {"text": "{{query}}"}}, "_source": False},
        queries={f"q{i}": group.query for i, group in enumerate(test)},
        qrels={f"q{i}": {_id(text): 1 for text in group.positives} for i, group in enumerate(test)},
    )


def _id(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


COLLECTIONS: Final[dict[str, Callable[[Path], Judged]]] = {
    each.__name__: each for each in (scifact, movies, general, products, howto, cmdlets, articles, conclusions)
}


def index(url: str, judged: Judged) -> None:
    """Index a collection, unless all of it is there from an earlier run."""
    with Elasticsearch(url, request_timeout=120) as client:
        there = client.indices.exists(index=judged.name)
        if there and client.count(index=judged.name)["count"] == len(judged.documents):
            return
        client.indices.delete(index=judged.name, ignore_unavailable=True)
        client.indices.create(
            index=judged.name,
            settings={"number_of_shards": 1, "number_of_replicas": 0},
            mappings={"dynamic": False, "properties": judged.properties},
        )
        actions = ({"_index": judged.name, "_id": i, "_source": source} for i, source in judged.documents.items())
        helpers.bulk(client, actions, chunk_size=500)
        client.indices.forcemerge(index=judged.name, max_num_segments=1)
        client.indices.refresh(index=judged.name)
