"""Edits of a search body, and which document fields they make Elasticsearch send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sidecar.config.model import IndexMapping
from sidecar.search.json_splice import Edit, Span, insertion, members, removals, splice, whole
from sidecar.search.source_filter import names, source_filter
from sidecar.search.wildcard import matches

_FIELD_LISTS = ("fields", "docvalue_fields", "stored_fields")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPlan:
    """``added`` are the field names that were added to `fields` for the model alone, to be removed again.

    ``looked_up`` are those that are asked for in a search of their own instead.
    """

    added: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()


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


def documents(body: Mapping[str, Any], params: Mapping[str, str], mapping: IndexMapping) -> DocumentPlan:
    """Decide which fields must be asked for besides what the client gets anyway.

    What the client itself asks for by name in `fields`, `docvalue_fields`, `stored_fields` or `script_fields`
    comes in the same place of a hit, so it is read from there and never removed. More `fields` would change the
    order of those, and how `_source` is filtered (see `lookup`).
    """
    asked = _client_fields(body, params)
    fields = [field.name for field in mapping.fields]
    source = source_filter(body, params)
    if mapping.text_from != "fields":
        fields = [name for name in fields if not source.shows(name)]
    missing = [name for name in dict.fromkeys(fields) if not any(matches(pattern, name) for pattern in asked)]
    if asked or source.filtered:
        return DocumentPlan(looked_up=tuple(missing))
    return DocumentPlan(added=tuple(missing))


def _client_fields(body: Mapping[str, Any], params: Mapping[str, str]) -> list[str]:
    listed = [_field_names(body.get(name)) for name in _FIELD_LISTS]
    listed += [names(params.get(name)) for name in _FIELD_LISTS]
    scripts = body.get("script_fields")
    return [name for group in listed for name in group] + (list(scripts) if isinstance(scripts, dict) else [])


def _field_names(value: Any) -> Sequence[str]:
    """Give the names of a field list, whose entries are names or objects with a `field`."""
    if not isinstance(value, list):
        return names(value)
    return names([entry.get("field") if isinstance(entry, dict) else entry for entry in value])


def widened(text: bytes, size: int, documents_plan: DocumentPlan) -> bytes:
    """Give the body that asks for the first ``size`` hits and the added fields."""
    span = whole(text)
    spans = members(text, span)
    edits = [_set(text, span, spans, "size", str(size).encode())]
    if "from" in spans:
        edits.append(Edit(spans["from"].start, spans["from"].end, b"0"))
    if documents_plan.added:
        edits.append(_add_fields(text, span, spans, documents_plan.added))
    return splice(text, _joined(edits))


def _set(text: bytes, span: Span, spans: Mapping[str, Span], name: str, value: bytes) -> Edit:
    if name in spans:
        return Edit(spans[name].start, spans[name].end, value)
    return insertion(text, span, spans, name, value)


def with_flags(text: bytes, flags: Mapping[str, bool]) -> bytes:
    """Give the body with these members, whatever it had for them; one that is false and absent stays so.

    Raises:
        ValueError: it is not an object.
    """
    span = whole(text)
    spans = members(text, span)
    given = {name: b"true" if value else b"false" for name, value in flags.items() if value or name in spans}
    return splice(text, _joined([_set(text, span, spans, name, value) for name, value in given.items()]))


def _add_fields(text: bytes, span: Span, spans: Mapping[str, Span], added: Sequence[str]) -> Edit:
    encoded = b",".join(msgspec.json.encode(name) for name in added)
    if "fields" not in spans:
        return insertion(text, span, spans, "fields", b"[" + encoded + b"]")
    listed = spans["fields"]
    separator = b"," if listed.of(text)[1:-1].strip() else b""
    return Edit(listed.end - 1, listed.end - 1, separator + encoded)


def _joined(edits: list[Edit]) -> list[Edit]:
    """Put commas between insertions into an empty object: each was made as if it were the only one."""
    seen: set[int] = set()
    joined = []
    for edit in edits:
        needs_comma = edit.start == edit.end and edit.start in seen and not edit.replacement.startswith(b",")
        joined.append(Edit(edit.start, edit.end, b"," + edit.replacement) if needs_comma else edit)
        seen.add(edit.start)
    return joined
