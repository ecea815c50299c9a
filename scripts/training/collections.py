"""The collections as groups: a query, the texts that answer it, and judged or mined texts that do not."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.splits import is_test_page, is_test_product_query, is_test_question, movie_part

PAGES = {"howto": "tldr", "cmdlets": "powershell-docs", "articles": "azure-docs"}
"""The collections of documentation: a query, the page that answers it."""
PRODUCT_FIELDS = ("title", "brand", "color", "category", "text")
MOVIE_FIELDS = ("title", "overview", "tags", "genres", "director", "actors", "characters", "year")


@dataclass(frozen=True, slots=True)
class Group:
    """One query. ``positives`` and ``negatives`` are texts; missing negatives are mined in ``collection``."""

    collection: str
    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = field(default=())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def detokenized(text: str) -> str:
    """Undo the Penn Treebank spacing of some sources (`word , word`)."""
    for spaced, plain in ((" ,", ","), (" .", "."), (" '", "'"), ("`` ", '"'), (" ''", '"'), ("( ", "("), (" )", ")")):
        text = text.replace(spaced, plain)
    return text


def scifact_corpus(data: Path) -> dict[str, str]:
    """Return SciFact's abstracts, title first, by id."""
    return {row["_id"]: f"{row['title']} {row['text']}" for row in _lines(data / "scifact" / "beir" / "corpus.jsonl")}


def scifact(data: Path, part: str) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield (query id, claim, grades by document id) of the ``train`` or ``test`` part."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    with (data / "scifact" / "beir" / f"qrels.{part}.tsv").open() as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            grades[row["query-id"]][row["corpus-id"]] = int(row["score"])
    for row in _lines(data / "scifact" / "beir" / f"queries.{part}.jsonl"):
        if row["_id"] in grades:
            yield row["_id"], row["text"], grades[row["_id"]]


def movie_corpus(data: Path) -> dict[str, dict[str, Any]]:
    """Return the movies' documents by id."""
    return {row["id"]: row for row in _lines(data / "msrd-movies" / "movies-corpus.jsonl.gz")}


def movie_text(movie: dict[str, Any]) -> str:
    """Return a movie as one text, in the field order that the mapping of the evaluation uses."""
    values = (movie.get(name) for name in MOVIE_FIELDS)
    return " ".join(" ".join(v[:10]) if isinstance(v, list) else str(v) for v in values if v)


def movies(data: Path, part: str) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield (query id, query, 0/1 grades by movie id) of the ``train`` or ``test`` part."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    texts: dict[str, str] = {}
    with gzip.open(data / "msrd-movies" / "movies-judgments.tsv.gz", "rt", encoding="utf-8") as rows:
        for row in csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
            grades[row["query_id"]][row["doc_id"]] = int(row["grade"])
            texts[row["query_id"]] = row["query"]
    for query_id, judged in grades.items():
        if movie_part(movie for movie, grade in judged.items() if grade) == part:
            yield query_id, texts[query_id], judged


def product_corpus(data: Path) -> dict[str, dict[str, Any]]:
    """Return the products' documents by id."""
    return {row.pop("_id"): row for row in _lines(data / "esci-sample" / "corpus.jsonl.gz")}


def product_text(product: dict[str, Any]) -> str:
    """Return a product as one text, in the field order that the mapping of the evaluation uses."""
    values = (product.get(name) for name in PRODUCT_FIELDS)
    return " ".join(" ".join(v) if isinstance(v, list) else v for v in values if v)


def products(data: Path, part: str) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield (query id, query, grades 0 to 3 by product id) of the ``train`` or ``test`` part."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    with (data / "esci-sample" / "qrels.tsv").open() as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            grades[row["query-id"]][row["corpus-id"]] = int(row["score"])
    for row in _lines(data / "esci-sample" / "queries.jsonl"):
        if is_test_product_query(row["text"]) == (part == "test"):
            yield row["_id"], row["text"], grades[row["_id"]]


def pages(data: Path, collection: str, part: str) -> Iterator[Group]:
    """Yield the documentation's groups of the ``train`` or ``test`` part, which share no page."""
    for row in _lines(data / PAGES[collection] / "pairs.jsonl.gz"):
        if is_test_page(row["page"]) == (part == "test"):
            yield Group(collection, row["query"], (page_text(row),))


def page_text(row: dict[str, Any]) -> str:
    """Return a page as one text, its title first."""
    return str(row["doc"] if row["doc"].startswith(row["page"]) else f"{row['page']}\n{row['doc']}")


def conclusions(data: Path, part: str) -> Iterator[Group]:
    """Yield long queries: an article's conclusion, answered by the rest of its abstract."""
    for row in json.loads((data / "pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8")).values():
        if is_test_question(row["QUESTION"]) == (part == "test"):
            yield Group("conclusions", row["LONG_ANSWER"], (" ".join(row["CONTEXTS"]),))


def questions(data: Path, *, held_out: bool = False) -> Iterator[Group]:
    """Yield the general question collections' groups.

    ``held_out`` gives the part never trained on: neither the question nor any of its texts is in training.
    """
    groups = list(_all_questions(data))
    trained = [group for group in groups if not is_test_question(group.query)]
    if not held_out:
        yield from trained
        return
    seen = {text for group in trained for text in (*group.positives, *group.negatives)}
    for group in groups:
        if is_test_question(group.query) and seen.isdisjoint((*group.positives, *group.negatives)):
            yield group


def _all_questions(data: Path) -> Iterator[Group]:
    for row in _lines(data / "nq-oracle" / "nq-open-oracle.jsonl.gz"):
        context = row["ctxs"][0]
        yield Group("wiki", row["question"], (f"{context['title']} {context['text']}",))
    for row in _lines(data / "qed" / "qed-dev.jsonlines"):
        yield Group("wiki", row["question_text"], (f"{row['title_text']} {detokenized(row['paragraph_text'])}",))
    for row in _lines(data / "clapnq" / "clapnq_dev_answerable.jsonl"):
        passage = row["passages"][0]
        yield Group("wiki", row["input"], (f"{passage['title']} {detokenized(passage['text'])}",))
    yield from _selqa(data)
    yield from _squad(data)
    yield from _medical(data)


def _selqa(data: Path) -> Iterator[Group]:
    for part in ("dev", "test"):
        for row in json.loads((data / "selqa" / f"selqa-ass-{part}.json").read_text(encoding="utf-8")):
            right = set(row["answers"])
            texts = [detokenized(text) for text in row["candidates"]]
            positives = tuple(text for i, text in enumerate(texts) if i in right)
            negatives = tuple(text for i, text in enumerate(texts) if i not in right)
            if positives:
                yield Group("sentences", detokenized(row["question"]), positives, negatives)


def _squad(data: Path) -> Iterator[Group]:
    for part in ("dev", "test"):
        sources = (data / "squad-sentences" / f"src-{part}.txt").read_text(encoding="utf-8").splitlines()
        targets = (data / "squad-sentences" / f"tgt-{part}.txt").read_text(encoding="utf-8").splitlines()
        for source, target in zip(sources, targets, strict=True):
            yield Group("sentences", detokenized(target), (detokenized(source),))


def _medical(data: Path) -> Iterator[Group]:
    for row in json.loads((data / "pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8")).values():
        yield Group("pubmed", row["QUESTION"], (" ".join(row["CONTEXTS"]),))
    for row in _lines(data / "medquad" / "medquad.jsonl.gz"):
        yield Group("medquad", row["question"], (row["answer"],))
