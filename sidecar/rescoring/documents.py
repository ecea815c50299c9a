"""The text of a hit that the model reads: the mapping's fields in order, with labels and separators."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar.config.model import FieldSpec, IndexMapping
from sidecar.elasticsearch.source_filter import names, source_filter
from sidecar.elasticsearch.wildcard import matches
from sidecar.rescoring.html import strip_html

_END = object()
_LONGEST = 1_000_000  # characters of a field that are read, markup counted: more than any model, or its passages, read
_TAG_COUNT = 16
_TAG_LENGTH = 64
_TAG = re.compile(r"</?em>|<em class=\"hlt\d+\">")  # Elasticsearch's own, also those of `tags_schema: styled`


def text_of(hit: Mapping[str, Any], mapping: IndexMapping, tags: Sequence[str] = ()) -> tuple[str, int]:
    """Return a decoded hit's text, and how many mapped fields it lacks; ``tags`` mark what is highlighted."""
    parts, missing = [], 0
    for field in mapping.fields:
        value = " ".join(_field_values(hit, field, mapping, tags))[:_LONGEST].strip()
        if value:
            parts.append(field.label + (strip_html(value) if mapping.strip_html else value))
        else:
            missing += 1
    return mapping.separator.join(parts), missing


def highlight_tags(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tags that a search itself sets around highlighted words, longest first.

    As many, and as long, as people write them: others stay in the text, since each costs a pass over it.
    """
    highlight = body.get("highlight")
    settings = [highlight, *_field_settings(highlight)]
    given = {tag for each in settings if isinstance(each, dict) for tag in _tags(each) if tag}
    usual = sorted(tag for tag in given if len(tag) <= _TAG_LENGTH)
    return tuple(sorted(usual, key=len, reverse=True)[:_TAG_COUNT])


def _untagged(text: str, tags: Sequence[str]) -> str:
    for tag in tags:
        text = text.replace(tag, "")
    return _TAG.sub("", text)


def _field_settings(highlight: Any) -> Iterator[Any]:
    fields = highlight.get("fields") if isinstance(highlight, dict) else None
    for each in fields if isinstance(fields, list) else [fields]:
        yield from each.values() if isinstance(each, dict) else ()


def _tags(settings: Mapping[str, Any]) -> Iterator[str]:
    for name in ("pre_tags", "post_tags"):
        yield from _texts(settings.get(name))


def _field_values(
    hit: Mapping[str, Any], field: FieldSpec, mapping: IndexMapping, tags: Sequence[str]
) -> Iterator[str]:
    for place in _PLACES[mapping.text_from]:
        found = _READERS[place](hit, field.name)
        if found:
            yield from (_untagged(text, tags) for text in found) if place == "highlight" else found
            return


def _from_source(hit: Mapping[str, Any], name: str) -> list[str]:
    """Read `_source`; a multi-field such as `title.keyword` is its parent's value there."""
    source = hit.get("_source")
    found = _texts_at(source, name)
    return found if found or "." not in name else _texts_at(source, name.rpartition(".")[0])


def _from_fields(hit: Mapping[str, Any], name: str) -> list[str]:
    return _texts_at(hit.get("fields"), name)


def _from_highlight(hit: Mapping[str, Any], name: str) -> list[str]:
    return _texts_at(hit.get("highlight"), name)


def _from_inner_hits(hit: Mapping[str, Any], name: str) -> list[str]:
    inner = hit.get("inner_hits")
    found: list[str] = []
    for group in inner.values() if isinstance(inner, dict) else []:
        for inner_hit in _inner(group):
            found += _from_source(inner_hit, name)
            found += _from_source(inner_hit, name.rpartition(".")[2]) if "." in name else []
    return found


def _inner(group: Any) -> list[Mapping[str, Any]]:
    hits = group.get("hits") if isinstance(group, dict) else None
    listed = hits.get("hits") if isinstance(hits, dict) else None
    return [hit for hit in listed if isinstance(hit, dict)] if isinstance(listed, list) else []


_READERS = {
    "source": _from_source,
    "fields": _from_fields,
    "highlight": _from_highlight,
    "inner_hits": _from_inner_hits,
}
# Where each setting looks, first that has text; all end where a field's whole text is.
_PLACES = {
    "auto": ("source", "fields"),
    "source": ("source", "fields"),
    "fields": ("fields", "source"),
    "highlight": ("highlight", "source", "fields"),
    "inner_hits": ("inner_hits", "source", "fields"),
}


def _texts_at(value: Any, name: str) -> list[str]:
    if isinstance(value, dict) and "." not in name:  # what most fields are, and most values
        found = value.get(name)
        return [found] if isinstance(found, str) else list(_texts(found))
    return list(_texts(_at(value, name)))


def _at(value: Any, name: str) -> list[Any]:
    """Return the values at a dotted path: through objects, arrays, and keys that hold dots themselves."""
    found: list[Any] = []
    waiting: list[tuple[Any, str | None]] = [(value, name)]
    while waiting:
        value, rest = waiting.pop()
        if rest is None:
            found.append(value)
        elif isinstance(value, list):
            waiting += [(item, rest) for item in reversed(value)]
        elif isinstance(value, dict):
            waiting += reversed(list(_below(value, rest)))
    return found


def _below(value: Mapping[str, Any], name: str) -> Iterator[tuple[Any, str | None]]:
    """Yield the members that a dotted path may lead to, and what is left of it below each."""
    if name in value:
        yield value[name], None
    at = name.find(".")
    while at > 0:
        if name[:at] in value:
            yield value[name[:at]], name[at + 1 :]
        at = name.find(".", at + 1)


def _texts(values: Any) -> Iterator[str]:
    """Yield the texts in a value, in order; not recursive, since each text would pass through every level."""
    waiting = [iter((values,))]
    while waiting:
        value = next(waiting[-1], _END)
        if value is _END:
            waiting.pop()
        elif isinstance(value, str):
            yield value
        elif isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, int | float):
            yield str(value)
        elif isinstance(value, list | dict):
            waiting.append(iter(value.values() if isinstance(value, dict) else value))


def hidden_fields(body: Mapping[str, Any], params: Mapping[str, str], mapping: IndexMapping) -> tuple[str, ...]:
    """Return the mapped fields whose texts do not come with the hits that the client asks for (see `lookup`)."""
    asked = _field_names(body.get("fields"))
    fields = [field.name for field in mapping.fields]
    if mapping.text_from != "fields":
        source = source_filter(body, params)
        fields = [name for name in fields if not source.shows(name)]
    return tuple(name for name in dict.fromkeys(fields) if not any(matches(pattern, name) for pattern in asked))


def _field_names(value: Any) -> Sequence[str]:
    """Return the names of a field list, whose entries are names or objects with a `field`."""
    if not isinstance(value, list):
        return names(value)
    return names([entry.get("field") if isinstance(entry, dict) else entry for entry in value])
