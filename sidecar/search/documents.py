"""The text of a hit that the model reads: the mapping's fields in order, with labels and separators."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

from sidecar.config.model import FieldSpec, IndexMapping

_TAG = re.compile(r"</?em>|<em class=\"hlt\d+\">")  # Elasticsearch's own, also those of `tags_schema: styled`


def text_of(hit: Mapping[str, Any], mapping: IndexMapping, tags: re.Pattern[str] = _TAG) -> tuple[str, int]:
    """Give a decoded hit's text, and how many mapped fields it lacks; ``tags`` mark what is highlighted."""
    parts, missing = [], 0
    for field in mapping.fields:
        value = " ".join(_field_values(hit, field, mapping, tags)).strip()
        if value:
            parts.append(field.label + (strip_html(value) if mapping.strip_html else value))
        else:
            missing += 1
    return mapping.separator.join(parts), missing


def highlight_tags(body: Mapping[str, Any]) -> re.Pattern[str]:
    """Give what marks highlighted words in the answer to a search: its own tags and Elasticsearch's."""
    highlight = body.get("highlight")
    settings = [highlight, *_field_settings(highlight)]
    given = {tag for each in settings if isinstance(each, dict) for tag in _tags(each) if tag}
    longest_first = sorted(given, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, longest_first), _TAG.pattern])) if given else _TAG


def _field_settings(highlight: Any) -> Iterator[Any]:
    fields = highlight.get("fields") if isinstance(highlight, dict) else None
    for each in fields if isinstance(fields, list) else [fields]:
        yield from each.values() if isinstance(each, dict) else ()


def _tags(settings: Mapping[str, Any]) -> Iterator[str]:
    for name in ("pre_tags", "post_tags"):
        yield from _texts(settings.get(name))


def _field_values(
    hit: Mapping[str, Any], field: FieldSpec, mapping: IndexMapping, tags: re.Pattern[str]
) -> Iterator[str]:
    for place in _PLACES[mapping.text_from]:
        found = list(_READERS[place](hit, field.name))
        if found:
            yield from (tags.sub("", text) for text in found) if place == "highlight" else found
            return


def _from_source(hit: Mapping[str, Any], name: str) -> Iterator[str]:
    """Read `_source`; a multi-field such as `title.keyword` is its parent's value there."""
    source = hit.get("_source")
    found = list(_texts(_at(source, name)))
    if not found and "." in name:
        found = list(_texts(_at(source, name.rpartition(".")[0])))
    yield from found


def _from_fields(hit: Mapping[str, Any], name: str) -> Iterator[str]:
    yield from _texts(_at(hit.get("fields"), name))


def _from_highlight(hit: Mapping[str, Any], name: str) -> Iterator[str]:
    yield from _texts(_at(hit.get("highlight"), name))


def _from_inner_hits(hit: Mapping[str, Any], name: str) -> Iterator[str]:
    inner = hit.get("inner_hits")
    for group in inner.values() if isinstance(inner, dict) else []:
        for inner_hit in _inner(group):
            yield from _from_source(inner_hit, name)
            yield from _from_source(inner_hit, name.rpartition(".")[2]) if "." in name else ()


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


def _at(value: Any, name: str) -> list[Any]:
    """Give the values at a dotted path: through objects, arrays, and keys that hold dots themselves."""
    if isinstance(value, list):
        return [found for item in value for found in _at(item, name)]
    if not isinstance(value, dict):
        return []
    found = [value[name]] if name in value else []
    at = name.find(".")
    while at > 0:
        if name[:at] in value:
            found += _at(value[name[:at]], name[at + 1 :])
        at = name.find(".", at + 1)
    return found


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, bool):
        yield "true" if values else "false"
    elif isinstance(values, int | float):
        yield str(values)
    elif isinstance(values, list):
        for value in values:
            yield from _texts(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from _texts(value)


class _Text(HTMLParser):
    """Collects the character data of HTML, a space where a tag was."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0
        self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def strip_html(text: str) -> str:
    """Remove tags, comments, scripts and entities; white space is folded where tags were."""
    if "<" not in text and "&" not in text:
        return text
    parser = _Text()
    parser.feed(text)
    parser.close()
    return " ".join("".join(parser.pieces).split())
