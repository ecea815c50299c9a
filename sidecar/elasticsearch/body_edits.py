"""Edits of a search body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.elasticsearch.json_bytes import Edit, Span, elements, insertion, members, removals, splice, whole


def refuse_duplicates(text: bytes) -> None:
    """Check that no object in ``text``, however deep, has a key twice.

    Raises:
        ValueError: one has, or the text is not JSON, or it is nested too deep to be read.
    """
    try:
        json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant, parse_int=_ignored)
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _ignored(number: str) -> None:
    """Read no integer: Python refuses those of more than 4300 digits."""


def without_ext(text: bytes, spans: Mapping[str, Span]) -> bytes:
    """Take `ext.rescore` out, and `ext` with it when nothing else is in it."""
    inner = members(text, spans["ext"])
    if set(inner) == {"rescore"}:
        return splice(text, removals(text, whole(text), spans, ["ext"]))
    return splice(text, removals(text, spans["ext"], inner, ["rescore"]))


def without_rescore(text: bytes) -> bytes:
    """Return a search less its `ext.rescore`.

    Raises:
        ValueError: it is not an object.
    """
    spans = members(text, whole(text))
    if "ext" not in spans or not spans["ext"].of(text).startswith(b"{"):
        return text
    return without_ext(text, spans) if "rescore" in members(text, spans["ext"]) else text


def of_rank_evaluation(text: bytes) -> bytes:
    """Return the body of a `_rank_eval` whose searches, and the templates they may be made of, have no `ext.rescore`.

    Raises:
        ValueError: it is not such a body.
    """
    spans = members(text, whole(text))
    edits = []
    for each in elements(text, spans["requests"]) if "requests" in spans else ():
        search = members(text, each).get("request")
        edits += [] if search is None else [Edit(search.start, search.end, without_rescore(search.of(text)))]
    for each in elements(text, spans["templates"]) if "templates" in spans else ():
        template = members(text, each).get("template")
        source = None if template is None else members(text, template).get("source")
        edits += [] if source is None else [Edit(source.start, source.end, _of_source(source.of(text)))]
    return splice(text, edits)


def _of_source(source: bytes) -> bytes:
    """Return a template's source, an object or a string that holds one; with sections in it, it is no JSON yet."""
    if not source.startswith(b'"'):
        return without_rescore(source)
    text = json.loads(source).encode("utf-8", "surrogatepass")
    try:
        edited = without_rescore(text)
    except ValueError:
        return source
    return source if edited == text else json.dumps(edited.decode("utf-8", "surrogatepass")).encode()


def part(text: bytes, from_: int, size: int | None) -> bytes:
    """Return the body that asks for ``size`` hits from ``from_`` on; None leaves its `size`.

    Raises:
        ValueError: it is not an object.
    """
    span = whole(text)
    spans = members(text, span)
    wanted = {"size": size, "from": from_ if from_ or "from" in spans else None}
    given = [(name, str(value).encode()) for name, value in wanted.items() if value is not None]
    return splice(text, _joined([_set(text, span, spans, name, value) for name, value in given]))


def without(text: bytes, names_: Sequence[str]) -> bytes:
    """Return the body less some of its members.

    Raises:
        ValueError: it is not an object.
    """
    span = whole(text)
    return splice(text, removals(text, span, members(text, span), names_))


def _set(text: bytes, span: Span, spans: Mapping[str, Span], name: str, value: bytes) -> Edit:
    if name in spans:
        return Edit(spans[name].start, spans[name].end, value)
    return insertion(text, span, spans, name, value)


def with_flags(text: bytes, flags: Mapping[str, bool]) -> bytes:
    """Return the body with these members, whatever it had for them; one that is false and absent stays so.

    Raises:
        ValueError: it is not an object.
    """
    span = whole(text)
    spans = members(text, span)
    given = {name: b"true" if value else b"false" for name, value in flags.items() if value or name in spans}
    return splice(text, _joined([_set(text, span, spans, name, value) for name, value in given.items()]))


def _joined(edits: list[Edit]) -> list[Edit]:
    """Put commas between insertions into an empty object: each was made as if it were the only one."""
    seen: set[int] = set()
    joined = []
    for edit in edits:
        needs_comma = edit.start == edit.end and edit.start in seen and not edit.replacement.startswith(b",")
        joined.append(Edit(edit.start, edit.end, b"," + edit.replacement) if needs_comma else edit)
        seen.add(edit.start)
    return joined
