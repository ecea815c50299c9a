"""Elasticsearch's `filter_path`, applied to bytes after rescoring.

`*` matches within a name, `**` one or more names, `\\.` is a dot of a name, a leading `-` excludes; arrays are
transparent. Includes are applied first, then excludes. What a filter empties goes with it; what was empty stays
unless only includes would tell. Source: Elasticsearch reference, "Response filtering"; each case seen on 9.5.3, 8.19.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from sidecar.search.json_splice import Edit, Span, elements, members, removals, splice, whole
from sidecar.search.wildcard import matches

_DOT = re.compile(r"(?<!\\)\.")
_ESCAPED = re.compile(r"\\.")
_Path = tuple[str, ...]


def apply(body: bytes, filters: str) -> bytes:
    """Give the filtered body; `{}` when nothing is left."""
    given = [part.strip() for part in filters.split(",") if part.strip()]
    includes = [part for part in given if not part.startswith("-")]
    excludes = [part[1:].strip() for part in given if part.startswith("-")]
    if includes:
        body = _filtered(body, whole(body), _paths(includes), keep=True) or b"{}"
    if excludes:
        body = _filtered(body, whole(body), _paths(excludes), keep=False) or b"{}"
    return body


def _paths(filters: Iterable[str]) -> list[_Path]:
    return [tuple(_names(text)) for text in filters if text]


def _names(text: str) -> Iterable[str]:
    """Split a filter at its dots; a dot that would leave a name empty is part of the last name."""
    while (dot := _DOT.search(text)) and dot.start() > 0:
        yield _unescaped(text[: dot.start()])
        text = text[dot.end() :]
    yield _unescaped(text)


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(".", name) if "\\." in name else name


def _filtered(text: bytes, span: Span, paths: Collection[_Path], *, keep: bool) -> bytes | None:
    """Give a value with its members filtered, None when nothing of it is left."""
    first = text[span.start : span.start + 1]
    if first == b"{":
        return _object(text, span, paths, keep=keep)
    if first == b"[":
        return _array(text, span, paths, keep=keep)
    return None if keep else span.of(text)


def _object(text: bytes, span: Span, paths: Collection[_Path], *, keep: bool) -> bytes | None:
    found = members(text, span)
    values = {name: _member(text, member, paths, name, keep=keep) for name, member in found.items()}
    dropped = [name for name, value in values.items() if value is None]
    if len(dropped) == len(found):
        return None if keep or found else span.of(text)
    edits = [
        Edit(found[name].start, found[name].end, value)
        for name, value in values.items()
        if value is not None and value != found[name].of(text)
    ]
    return _spliced(text, span, edits + removals(text, span, found, dropped))


def _spliced(text: bytes, span: Span, edits: Sequence[Edit]) -> bytes:
    inside = [Edit(edit.start - span.start, edit.end - span.start, edit.replacement) for edit in edits]
    return splice(span.of(text), inside)


def _member(text: bytes, member: Span, paths: Collection[_Path], name: str, *, keep: bool) -> bytes | None:
    below = {left for path in paths for left in _below(path, name)}
    if any(not path for path in below):  # a filter ends here: the whole value
        return member.of(text) if keep else None
    if not below:
        return None if keep else member.of(text)
    return _filtered(text, member, below, keep=keep)


def _array(text: bytes, span: Span, paths: Collection[_Path], *, keep: bool) -> bytes | None:
    values = [_filtered(text, item, paths, keep=keep) for item in elements(text, span)]
    left = [value for value in values if value is not None]
    if not left:
        return None if keep or values else span.of(text)
    return b"[" + b",".join(left) + b"]"


def _below(path: _Path, name: str) -> Iterable[_Path]:
    """Give what is left of a path below a member; an empty path means that it is matched whole."""
    if matches(path[0], name):
        yield path[1:]
    if path[0] == "**":
        yield path
