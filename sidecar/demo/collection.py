"""What the demo searches: documents, the fields that hold their text, and questions to ask."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sidecar.demo.stdlib_docs import passages
from sidecar.errors import InputError

STDLIB_QUESTIONS = (
    "how do I copy a whole directory tree",
    "make a temporary file that is deleted automatically",
    "show the differences between two text files",
    "wait until several threads have reached the same point",
    "measure how long a piece of code takes to run",
    "find the most common words in a list",
)
_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents by id. ``fields`` are searched and scored, in order; ``title`` names a hit for people."""

    name: str
    documents: Sequence[tuple[str, dict[str, Any]]]
    fields: tuple[str, ...]
    title: str | None
    text: str
    questions: tuple[str, ...]


def standard_library(questions: Sequence[str] = ()) -> Collection:
    """Return the standard library's documentation.

    Raises:
        InputError: this Python came without its sources.
    """
    documents = [(each.id, {**asdict(each), "name": each.id}) for each in passages()]
    if not documents:
        raise InputError("this Python has no library sources to index; return a file of your own with --file")
    return Collection(
        "sidecar-demo-python-docs",
        documents,
        ("name", "signature", "text"),
        "name",
        "text",
        tuple(questions) or STDLIB_QUESTIONS,
    )


def own_file(path: Path, text: str, title: str | None, questions: Sequence[str]) -> Collection:
    """Read a JSONL or CSV file of documents.

    Raises:
        InputError: it cannot be read, or has no such field.
    """
    if not questions:
        raise InputError('--file needs a question to ask: --query "..."')
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path}: expected one of {', '.join(_SUFFIXES)}")
    try:
        rows = list(_rows(path))
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error
    documents = [(str(number), row) for number, row in enumerate(rows, start=1) if row.get(text)]
    if not documents:
        raise InputError(f"{path}: no document has text in {text!r}; fields: {', '.join(_names(rows)) or 'none'}")
    name = "sidecar-demo-" + "".join(char if char.isalnum() else "-" for char in path.stem.lower())
    return Collection(name, documents, (title, text) if title else (text,), title, text, tuple(questions))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            for row in csv.DictReader(lines, delimiter=delimiter):
                yield {key: value for key, value in row.items() if isinstance(key, str)}
        return
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _object(line, f"{path}:{number}")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(row).__name__}")
    return row


def _names(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({name for row in rows for name in row})


def shown_text(source: dict[str, Any], field: str) -> str:
    """Return a field's text on one line."""
    value = source.get(field)
    return " ".join(str(value).split()) if value is not None else ""
