"""Elasticsearch's `filter_path`, applied to bytes after rescoring.

`*` matches within a name, `**` any number of names, a leading `-` excludes; arrays are transparent. Includes
are applied first, then excludes. Source: Elasticsearch reference, "Response filtering".
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from sidecar.search.json_splice import Edit, Span, elements, members, removals, splice, whole

Path = tuple[str, ...]


def apply(body: bytes, filters: str) -> bytes:
    """Give the filtered body; `{}` when nothing is left."""
    paths = [path.strip() for path in filters.split(",") if path.strip()]
    includes = [tuple(path.split(".")) for path in paths if not path.startswith("-")]
    excludes = [tuple(path[1:].split(".")) for path in paths if path.startswith("-")]
    if includes:
        body = _filtered(body, whole(body), includes, keep=True) or b"{}"
    if excludes:
        body = _filtered(body, whole(body), excludes, keep=False) or b"{}"
    return body


def _filtered(text: bytes, span: Span, paths: list[Path], *, keep: bool) -> bytes | None:
    """Give a value with its members filtered, None when nothing of it is left."""
    first = text[span.start : span.start + 1]
    if first == b"{":
        return _object(text, span, paths, keep=keep)
    if first == b"[":
        return _array(text, span, paths, keep=keep)
    return None if keep else span.of(text)


def _object(text: bytes, span: Span, paths: list[Path], *, keep: bool) -> bytes | None:
    found = members(text, span)
    dropped: list[str] = []
    edits: list[Edit] = []
    for name, member in found.items():
        value = _member(text, member, _below(paths, name), keep=keep)
        if value is None:
            dropped.append(name)
        elif value != member.of(text):
            edits.append(Edit(member.start, member.end, value))
    if len(dropped) == len(found) and found:
        return None if keep or dropped else span.of(text)
    edits += removals(text, span, found, dropped)
    return splice(text, edits)[span.start : len(text) and _end(text, span, edits)]


def _end(text: bytes, span: Span, edits: list[Edit]) -> int:
    return span.end + sum(len(edit.replacement) - (edit.end - edit.start) for edit in edits)


def _member(text: bytes, member: Span, below: list[Path], *, keep: bool) -> bytes | None:
    if any(not path for path in below):  # a filter ends here: the whole value
        return member.of(text) if keep else None
    if not below:
        return None if keep else member.of(text)
    return _filtered(text, member, below, keep=keep)


def _array(text: bytes, span: Span, paths: list[Path], *, keep: bool) -> bytes | None:
    values = [_filtered(text, item, paths, keep=keep) for item in elements(text, span)]
    left = [value for value in values if value is not None]
    if not left and values:
        return None
    return b"[" + b",".join(left) + b"]"


def _below(paths: list[Path], name: str) -> list[Path]:
    """Give what is left of the paths below a member; an empty path means that it is matched whole."""
    left: list[Path] = []
    for path in paths:
        if path[0] == "**":
            left.append(path)
            left += _below([path[1:]], name) if len(path) > 1 else [()]
        elif fnmatchcase(name, path[0]):
            left.append(path[1:])
    return left
