"""Finds values in JSON bytes and replaces them, leaving every other byte as it is.

msgspec finds where values end (``Raw`` has a value's exact bytes); this module walks the keys between them
to know where they start. Nothing is decoded that is not asked for, so numbers keep their spelling, keys their
order and strings their escapes (design, law 2). Duplicate keys, which Elasticsearch refuses in requests, are
a ``ValueError`` here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sidecar.elasticsearch.lenient_json import is_plain, strict

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE = re.compile(rb"[ \t\r\n]*")
_KEY = re.compile(rb'[ \t\r\n]*+,?+[ \t\r\n]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SEPARATOR = re.compile(rb"[ \t\r\n]*+,?+[ \t\r\n]*+")


@dataclass(frozen=True, slots=True)
class Span:
    """A member or an element: its key starts at ``key`` (the value's start in arrays), its value is [start, end)."""

    key: int
    start: int
    end: int

    def of(self, text: bytes) -> bytes:
        """Return the value's bytes."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace bytes [start, end) by ``replacement``."""

    start: int
    end: int
    replacement: bytes


def whole(text: bytes) -> Span:
    """Return the span of the one value that ``text`` holds, white space around it left out."""
    found = _SPACE.match(text)
    start = found.end() if found else 0
    return Span(start, start, len(text.rstrip(b" \t\r\n")))


def plain(text: bytes) -> bytes:
    """Return JSON of the same length in which values are found without more ado: made once, it serves all of them."""
    return text if is_plain(text) else strict(text, names=True)


def members(text: bytes, span: Span) -> dict[str, Span]:
    """Return the spans of an object's members by key, in order.

    Raises:
        ValueError: not an object, or it has a key twice.
    """
    source, shift, values = _decode(_OBJECT, text, span)
    found: dict[str, Span] = {}
    position = span.start - shift + 1
    for key, raw in values.items():
        matched = _KEY.match(source, position)
        if matched is None:
            raise ValueError("not an object")
        end = matched.end() + len(memoryview(raw))
        if source[matched.end() : end] != memoryview(raw):
            raise ValueError(f"duplicate key {key!r}")
        quote = source.index(b'"', position)
        found[key] = Span(quote + shift, matched.end() + shift, end + shift)
        position = end
    if source[position : span.end - shift].strip() != b"}":
        raise ValueError("duplicate key")
    return found


def elements(text: bytes, span: Span) -> list[Span]:
    """Return the spans of an array's elements.

    Raises:
        ValueError: not an array.
    """
    source, shift, values = _decode(_ARRAY, text, span)
    found: list[Span] = []
    position = span.start - shift + 1
    for raw in values:
        matched = _SEPARATOR.match(source, position)
        start = matched.end() if matched else position
        position = start + len(memoryview(raw))
        found.append(Span(start + shift, start + shift, position + shift))
    return found


def _decode(decoder: msgspec.json.Decoder[Any], text: bytes, span: Span) -> tuple[bytes, int, Any]:
    """Return the value, the JSON that it is made of, and how far that is shifted in ``text``."""
    try:
        return text, 0, decoder.decode(memoryview(text)[span.start : span.end])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        made = strict(span.of(text), names=True)
    try:
        return made, span.start, decoder.decode(made)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def splice(text: bytes, edits: Iterable[Edit]) -> bytes:
    """Apply edits that do not overlap; those at one place are applied in the order given."""
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits, key=lambda e: e.start):
        pieces += [text[position : edit.start], edit.replacement]
        position = edit.end
    pieces.append(text[position:])
    return b"".join(pieces)


def removals(text: bytes, span: Span, found: Mapping[str, Span], names: Iterable[str]) -> list[Edit]:
    """Return the edits that remove members from an object, each with one comma."""
    unwanted = {name for name in names if name in found}
    order = list(found)
    kept = [name for name in order if name not in unwanted]
    if not kept:
        return [Edit(span.start + 1, span.end - 1, b"")] if unwanted else []
    return [_removal(found, order, i, kept[0]) for i, name in enumerate(order) if name in unwanted]


def _removal(found: Mapping[str, Span], order: list[str], i: int, first_kept: str) -> Edit:
    span = found[order[i]]
    if i < order.index(first_kept):  # nothing is kept before it: take the comma after it
        return Edit(span.key, found[order[i + 1]].key, b"")
    return Edit(found[order[i - 1]].end, span.end, b"")


def insertion(text: bytes, span: Span, found: Mapping[str, Span], name: str, value: bytes) -> Edit:
    """Return the edit that adds a member at an object's end."""
    member = msgspec.json.encode(name) + b":" + value
    if not found:
        return Edit(span.start + 1, span.start + 1, member)
    last = max(member_span.end for member_span in found.values())
    return Edit(last, last, b"," + member)
