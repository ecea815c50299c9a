"""Takes fields that were asked for in addition out of a hit's `fields` again.

There a field is a member with its full dotted name, except below a `nested` object: that is an array of objects
whose members are named relative to it. Elasticsearch leaves out what is empty, so what becomes empty goes, too.
Source: Elasticsearch reference, "Retrieve selected fields", nested fields.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.search.json_splice import Edit, Span, elements, members, removals, splice


def without(text: bytes, span: Span, names: Sequence[str]) -> bytes | None:
    """Give an object's bytes without the fields ``names``, None when nothing is left.

    Raises:
        ValueError: it is not an object.
    """
    found = members(text, span)
    dropped, edits = [], []
    for key, member in found.items():
        left = _member(text, key, member, names)
        if left is None:
            dropped.append(key)
        elif left != member.of(text):
            edits.append(Edit(member.start, member.end, left))
    if len(dropped) == len(found):
        return None
    return _object(text, span, edits + removals(text, span, found, dropped))


def _member(text: bytes, key: str, member: Span, names: Sequence[str]) -> bytes | None:
    if key in names:
        return None
    below = [name[len(key) + 1 :] for name in names if name.startswith(f"{key}.")]
    if not below:
        return member.of(text)
    kept = [_element(text, element, below) for element in elements(text, member)]
    left = [element for element in kept if element is not None]
    return b"[" + b",".join(left) + b"]" if left else None


def _element(text: bytes, element: Span, names: Sequence[str]) -> bytes | None:
    """Give what is left of one value; a text is that of a parent of a multi-field, which was asked for itself."""
    is_object = text.startswith(b"{", element.start)
    return without(text, element, names) if is_object else element.of(text)


def _object(text: bytes, span: Span, edits: list[Edit]) -> bytes:
    inside = [Edit(edit.start - span.start, edit.end - span.start, edit.replacement) for edit in edits]
    return splice(span.of(text), inside)
