"""Score texts against a query, without Elasticsearch: JSON lines in, the same lines with a score out.

    sidecar score pairs.jsonl > scored.jsonl          # {"query": "...", "document": "..."}
    sidecar score --query "read a zip file" --field text documents.jsonl --output scored.jsonl
    ... | sidecar score - | ...

A line's document is a text, or a list of texts, which gets a list of scores. Scores are relevance logits: higher
is better, and only scores of one model compare. Everything else in a line stays as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sidecar.errors import InputError

if TYPE_CHECKING:
    from sidecar.scoring import CrossEncoder

_SLAB = 512  # lines read ahead, scored and written together


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input. ``many`` tells a list of one document from a document."""

    raw: str
    query: str
    documents: list[str]
    many: bool


@dataclass(frozen=True, slots=True)
class Names:
    """Where a line holds what: the query (or the one given for all lines), the document, and the score."""

    query: str | None
    field: str
    score: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `score`."""
    add = parser.add_argument
    add("file", metavar="FILE", help="JSON lines; `-` is standard input")
    add("--query", metavar="TEXT", help="the query of all lines; default: each line's `query`")
    add("--field", default="document", metavar="NAME", help="key of a line's text or texts (default: %(default)s)")
    add("--name", default="score", metavar="NAME", help="key that is added to a line (default: %(default)s)")
    add("--output", type=Path, metavar="FILE", help="where lines are written (default: standard output)")
    add("--model", default="bundled", help="hub id, local directory, or `bundled` (default)")
    add("--device", default="auto", help="`auto`, `cpu`, `cuda`, or `cuda:N` (default: %(default)s)")
    add("--max-length", type=int, default=512, metavar="N", help="tokens of query and document (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Score all lines.

    Raises:
        InputError: the input cannot be read, or a line is not what is expected.
        ModelError: the model is not available.
    """
    names = Names(args.query, args.field, args.name)
    with _input(args.file) as source, _output(args.output, args.file) as target:
        first = _read(source, names, args.file)
        slabs = iter(lambda: list(itertools.islice(first, _SLAB)), [])
        head = next(slabs, [])  # a mistake in the first lines is told before the model is loaded
        with _encoder(args) as encoder, _progress(args.file) as advance:
            started, count = time.perf_counter(), 0
            for slab in itertools.chain([head], slabs):
                target.writelines(_scored(encoder, slab, names.score))
                target.flush()
                count += sum(len(line.documents) for line in slab)
                advance(sum(len(line.raw.encode()) for line in slab))
    _tell(count, time.perf_counter() - started, args.model)
    return 0


def _read(source: Iterable[str], names: Names, file: str) -> Iterator[Line]:
    for number, raw in enumerate(source, start=1):
        if raw.strip():
            yield line_of(raw, names, f"{file}:{number}")


def line_of(raw: str, names: Names, where: str) -> Line:
    """Read one line.

    Raises:
        InputError: it is no JSON object, lacks a key, or has the score's already.
    """
    try:
        row = json.loads(raw)
    except ValueError as problem:
        raise InputError(f"{where}: not valid JSON: {problem}") from problem
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(row).__name__}")
    if names.score in row:
        raise InputError(f"{where}: the line already has {names.score!r}; choose another key with --name")
    query = _value(row, "query", "--query", where) if names.query is None else names.query
    document = _value(row, names.field, "--field", where)
    documents = document if isinstance(document, list) else [document]
    if not isinstance(query, str) or not all(isinstance(each, str) for each in documents):
        raise InputError(f"{where}: 'query' must be a text, {names.field!r} a text or a list of texts")
    return Line(raw.strip(), query, documents, isinstance(document, list))


def _value(row: dict[str, Any], key: str, flag: str, where: str) -> Any:
    if key not in row:
        raise InputError(f"{where}: no {key!r} in the line (keys: {', '.join(map(repr, row)) or 'none'}); see {flag}")
    return row[key]


def _scored(encoder: CrossEncoder, lines: Sequence[Line], name: str) -> Iterator[str]:
    scores = iter(encoder.predict([(line.query, document) for line in lines for document in line.documents]))
    for line in lines:
        found = [float(str(score)) for score in itertools.islice(scores, len(line.documents))]
        value = json.dumps(found if line.many else found[0])
        yield f"{line.raw[:-1].rstrip()}, {json.dumps(name)}: {value}}}\n"


def _encoder(args: argparse.Namespace) -> CrossEncoder:
    from sidecar.scoring import CrossEncoder

    return CrossEncoder(args.model, device=args.device, max_length=args.max_length)


@contextlib.contextmanager
def _input(file: str) -> Iterator[IO[str]]:
    if file == "-":
        yield sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8-sig") as source:
            yield source
    except UnicodeDecodeError as problem:
        raise InputError(f"{file}: not UTF-8 text") from problem
    except OSError as problem:
        raise InputError(f"{problem.filename or file}: {(problem.strerror or str(problem)).lower()}") from problem


@contextlib.contextmanager
def _output(file: Path | None, source: str) -> Iterator[IO[str]]:
    if file is None:
        yield sys.stdout
        return
    if file.exists() and source != "-" and file.samefile(source):
        raise InputError(f"--output {file} is the input: choose another file")
    try:
        target = file.open("w", encoding="utf-8")
    except OSError as problem:
        raise InputError(f"--output {file}: {(problem.strerror or str(problem)).lower()}") from problem
    with target:
        yield target


@contextlib.contextmanager
def _progress(file: str) -> Iterator[Any]:
    """Show a bar of the bytes read, on a terminal only; return what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    size = Path(file).stat().st_size if file != "-" and Path(file).is_file() else None
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=size)
        yield lambda read: bar.advance(task, read)


def _tell(count: int, seconds: float, model: str) -> None:
    print(f"{count} documents scored in {seconds:.1f} s ({count / seconds:.0f} a second) by {model}", file=sys.stderr)
