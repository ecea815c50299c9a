"""Queries and relevance judgments from the text of a file, its form told from its content. Pure.

Forms: TREC topics, BEIR's JSON lines, CSV with a header, and tab-separated `id text` for queries; TREC's four
columns, BEIR's three with a header, and CSV with a header for judgments (qrels).
Sources: trec_eval's README; Thakur et al., "BEIR", 2021.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

Queries = dict[str, str]
"""Query texts by query id, in the file's order."""

Qrels = dict[str, dict[str, int]]
"""Grades by document id, by query id."""

_QUERY_ID: Final = ("query-id", "query_id", "qid", "topic", "_id", "id")
_TEXT: Final = ("text", "query", "title", "question")
_DOCUMENT_ID: Final = ("corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "document_id", "pid")
_GRADE: Final = ("score", "grade", "relevance", "rating", "judgment", "judgement", "label", "rel")
_QUERY_FORMS: Final = "TREC topics, JSON lines with `_id` and `text`, CSV with a header, or `id<TAB>text`"
_QRELS_FORMS: Final = (
    "`query 0 document grade`, BEIR's `query-id corpus-id score` with its header, or CSV with a header"
)


def queries(text: str, name: str = "queries") -> Queries:
    """Read queries.

    Raises:
        ValueError: a line fits no form, an id comes twice, or there is no query; the message names file and line.
    """
    found: Queries = {}
    for line, query_id, query in _query_rows(text.removeprefix("\ufeff"), name):
        if query_id in found:
            raise ValueError(f"{name}:{line}: the query id {query_id!r} comes twice")
        if not query.strip():
            raise ValueError(f"{name}:{line}: query {query_id!r} has no text")
        found[query_id] = query.strip()
    if not found:
        raise ValueError(f"{name}: no queries in it; expected {_QUERY_FORMS}")
    return found


def qrels(text: str, name: str = "qrels") -> Qrels:
    """Read judgments.

    Raises:
        ValueError: a line fits no form, a pair is judged twice, or there is none; the message names file and line.
    """
    found: Qrels = {}
    for line, query_id, document, grade in _qrels_rows(text.removeprefix("\ufeff"), name):
        judged = found.setdefault(query_id, {})
        if document in judged:
            raise ValueError(f"{name}:{line}: document {document!r} is judged twice for query {query_id!r}")
        judged[document] = _grade(grade, f"{name}:{line}")
    if not found:
        raise ValueError(f"{name}: no judgments in it; expected {_QRELS_FORMS}")
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers. Only newlines end a line: texts may hold U+2028."""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line


def _query_rows(text: str, name: str) -> Iterable[tuple[int, str, str]]:
    head = next((line for _, line in _lines(text)), "")
    if re.search(r"<top>", text, re.IGNORECASE) and head.lstrip().startswith("<"):
        return _topics(text, name)
    if head.lstrip().startswith("{"):
        return _json_lines(text, name)
    if _has_header(head, _TEXT):
        return _table(text, head, (_QUERY_ID, _TEXT), name)
    return _tab_separated(text, name)


def _topics(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    """Read TREC topics; closing tags of `num` and `title` are optional, as in TREC's own files."""
    for topic in re.finditer(r"<top>(.*?)</top>", text, re.DOTALL | re.IGNORECASE):
        line = text.count("\n", 0, topic.start()) + 1
        number, title = (_tagged(topic[1], tag) for tag in ("num", "title"))
        if number is None or title is None:
            raise ValueError(f"{name}:{line}: a <top> without <num> or <title>")
        yield line, re.sub(r"(?i)^number:\s*", "", number), re.sub(r"(?i)^topic:\s*", "", title)


def _tagged(topic: str, tag: str) -> str | None:
    found = re.search(rf"<{tag}>([^<]*)", topic, re.IGNORECASE)
    return None if found is None else " ".join(found[1].split())


def _json_lines(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    for number, line in _lines(text):
        row = _object(line, f"{name}:{number}")
        query_id, query = _first(row, _QUERY_ID), _first(row, _TEXT)
        if not isinstance(query_id, str | int) or not isinstance(query, str):
            raise ValueError(
                f"{name}:{number}: expected `_id` and `text` in the line, found {', '.join(row) or 'none'}"
            )
        yield number, str(query_id), query


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise ValueError(f"{where}: not valid JSON: {problem}") from problem
    if not isinstance(row, dict):
        raise ValueError(f"{where}: expected a JSON object, found {type(row).__name__}")
    return row


def _tab_separated(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    for number, line in _lines(text):
        query_id, tab, query = line.partition("\t")
        if not tab or not query_id.strip():
            raise ValueError(f"{name}:{number}: expected {_QUERY_FORMS}; found {_shown(line)}")
        yield number, query_id.strip(), query


def _qrels_rows(text: str, name: str) -> Iterable[tuple[int, str, str, str]]:
    head = next((line for _, line in _lines(text)), "")
    if _has_header(head, _GRADE):
        return _table(text, head, (_QUERY_ID, _DOCUMENT_ID, _GRADE), name)
    return _trec_qrels(text, name)


def _trec_qrels(text: str, name: str) -> Iterator[tuple[int, str, str, str]]:
    for number, line in _lines(text):
        columns = line.split()
        if len(columns) != 4:
            raise ValueError(f"{name}:{number}: expected {_QRELS_FORMS}; found {_shown(line)}")
        yield number, columns[0], columns[2], columns[3]


def _has_header(line: str, names: Iterable[str]) -> bool:
    return any(column in names for column in _columns(line))


def _columns(line: str) -> list[str]:
    return [column.strip().strip('"').lower() for column in line.split(_delimiter(line))]


def _delimiter(line: str) -> str:
    return "\t" if "\t" in line else ","


def _table(text: str, head: str, wanted: tuple[tuple[str, ...], ...], name: str) -> Iterator[Any]:
    """Read a table with a header: the line's number and the wanted columns, by any of their names."""
    header, delimiter = _columns(head), _delimiter(head)
    places = [next((header.index(each) for each in names if each in header), None) for names in wanted]
    for names, place in zip(wanted, places, strict=True):
        if place is None:
            raise ValueError(f"{name}:1: no column {names[0]!r} in the header (columns: {', '.join(header)})")
    lines = (line + "\n" for line in text.replace("\r\n", "\n").split("\n"))
    plain = delimiter == "\t"  # tab-separated collections hold quotation marks as they are
    rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
    for row in rows:
        if not any(row) or rows.line_num <= text[: text.index(head)].count("\n") + 1:
            continue
        if len(row) != len(header):
            raise ValueError(f"{name}:{rows.line_num}: {len(row)} columns, the header has {len(header)}")
        yield (rows.line_num, *(row[place].strip() for place in places if place is not None))


def _first(row: dict[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _grade(text: str, where: str) -> int:
    """Return a whole-number grade; `1.0` is one too."""
    try:
        value = float(text)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{where}: the grade must be a whole number, found {_shown(text)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
