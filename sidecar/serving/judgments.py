"""Judgments that people make on the compare page, kept as the two files that `sidecar eval` reads.

One pair of files an index: queries as JSON lines, judgments as CSV, since ids of documents may hold anything.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

_HEADER = ("query_id", "document_id", "grade")
MOST_QUERIES = 10_000
"""Queries that are kept of an index: both files are read and written as a whole."""
Grades = dict[str, int]


class FullError(ValueError):
    """No more queries are kept of this index."""


def folder(configured: str | None) -> Path:
    """Return where judgments are kept: the user's data folder unless configured."""
    if configured is not None:
        return Path(configured)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "rescoring-sidecar" / "judgments"


class Judgments:
    """The judgments of one index. Not to be used by two threads at once."""

    def __init__(self, where: Path, index: str) -> None:
        name = quote(index, safe="*,-_")[:200] or "_all"
        self.queries_file = where / f"{name}.queries.jsonl"
        self.qrels_file = where / f"{name}.qrels.csv"

    def of(self, query: str) -> Grades:
        """Return the grades of a query's documents."""
        return self._qrels().get(query_id(query), {})

    def judge(self, query: str, document: str, grade: int | None) -> Grades:
        """Keep a grade, or with None forget it; return all grades of the query.

        Raises:
            FullError: there are too many queries.
            OSError: the files cannot be written.
        """
        queries, qrels = self._queries(), self._qrels()
        key = query_id(query)
        grades = qrels.setdefault(key, {})
        if grade is None:
            grades.pop(document, None)
        else:
            grades[document] = grade
        queries[key] = query
        kept = {name: found for name, found in qrels.items() if found}
        if len(kept) > MOST_QUERIES:
            raise FullError(f"{self.qrels_file} holds {MOST_QUERIES} queries: move it, and begin another")
        self._write({name: queries[name] for name in kept if name in queries}, kept)
        return grades

    def _queries(self) -> dict[str, str]:
        lines = _text(self.queries_file).split("\n")
        return {row["_id"]: row["text"] for row in map(json.loads, filter(None, lines))}

    def _qrels(self) -> dict[str, Grades]:
        found: dict[str, Grades] = {}
        for row in csv.DictReader(io.StringIO(_text(self.qrels_file), newline="")):
            found.setdefault(row["query_id"], {})[row["document_id"]] = int(row["grade"])
        return found

    def _write(self, queries: Mapping[str, str], qrels: Mapping[str, Grades]) -> None:
        rows = io.StringIO(newline="")
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows((name, document, grade) for name, found in qrels.items() for document, grade in found.items())
        lines = [json.dumps({"_id": name, "text": text}) + "\n" for name, text in queries.items()]
        _replace(self.queries_file, "".join(lines))
        _replace(self.qrels_file, rows.getvalue())


def query_id(query: str) -> str:
    """Return the id of a query: the same for the same text, less the space around it."""
    return "q" + hashlib.blake2b(query.strip().encode("utf-8", "replace"), digest_size=8).hexdigest()


def _text(file: Path) -> str:
    return file.read_text("utf-8") if file.exists() else ""


def _replace(file: Path, text: str) -> None:
    """Write a file so that nobody, whenever it is read, sees a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", dir=file.parent, delete=False) as written:
        written.write(text)
    Path(written.name).replace(file)
