"""Edits of a search body, and which document fields they make Elasticsearch send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from sidecar.config.model import IndexMapping
from sidecar.search.json_splice import Edit, Span, insertion, members, removals, splice, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPlan:
    """``added`` are the field names that were added to `fields` for the model alone, to be removed again.

    ``fields_are_ours``: the client asked for nothing that Elasticsearch answers in `fields`.
    """

    added: tuple[str, ...] = ()
    fields_are_ours: bool = True


def refuse_duplicates(text: bytes) -> None:
    """Check that no object in ``text``, however deep, has a key twice.

    Raises:
        ValueError: one has, or the text is not JSON.
    """
    json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def without_ext(text: bytes, spans: Mapping[str, Span]) -> bytes:
    """Take `ext.rescore` out, and `ext` with it when nothing else is in it."""
    inner = members(text, spans["ext"])
    if set(inner) == {"rescore"}:
        return splice(text, removals(text, whole(text), spans, ["ext"]))
    return splice(text, removals(text, spans["ext"], inner, ["rescore"]))


def documents(body: Mapping[str, Any], params: Mapping[str, str], mapping: IndexMapping) -> DocumentPlan:
    """Decide which fields must be asked for besides what the client gets anyway."""
    patterns = _client_fields(body)
    ours = not patterns and not any(name in body for name in ("docvalue_fields", "script_fields", "stored_fields"))
    if mapping.text_from != "fields" and _source_is_whole(body, params):
        return DocumentPlan(fields_are_ours=ours)
    names = [field.name for field in mapping.fields]
    missing = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)]
    return DocumentPlan(added=tuple(missing), fields_are_ours=ours)


def _client_fields(body: Mapping[str, Any]) -> list[str]:
    listed = body.get("fields")
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("field") if isinstance(entry, dict) else entry for entry in entries]
    return [name for name in names if isinstance(name, str)]


def _source_is_whole(body: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    """Tell whether every hit carries its whole `_source`; `stored_fields` alone turns it off."""
    if any(name in params for name in ("_source", "_source_includes", "_source_excludes")):
        return params.get("_source") == "true" and len({"_source_includes", "_source_excludes"} & set(params)) == 0
    if "_source" in body:
        return body["_source"] is True
    return "stored_fields" not in body and "stored_fields" not in params


def widened(text: bytes, size: int, documents_plan: DocumentPlan) -> bytes:
    """Give the body that asks for the first ``size`` hits and the added fields."""
    span = whole(text)
    spans = members(text, span)
    edits = [_set(text, span, spans, "from", b"0"), _set(text, span, spans, "size", str(size).encode())]
    if documents_plan.added:
        edits.append(_add_fields(text, span, spans, documents_plan.added))
    return splice(text, _joined(edits))


def _set(text: bytes, span: Span, spans: Mapping[str, Span], name: str, value: bytes) -> Edit:
    if name in spans:
        return Edit(spans[name].start, spans[name].end, value)
    return insertion(text, span, dict(spans), name, value)


def _add_fields(text: bytes, span: Span, spans: Mapping[str, Span], names: tuple[str, ...]) -> Edit:
    encoded = b",".join(msgspec.json.encode(name) for name in names)
    if "fields" not in spans:
        return insertion(text, span, dict(spans), "fields", b"[" + encoded + b"]")
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
