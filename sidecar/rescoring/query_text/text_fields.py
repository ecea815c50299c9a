"""Which clauses hold words that a model can rank by, judged by the fields that they search.

A clause on a field of the mapping always counts. Whether one on another field does is for `query_fields` to say. Under
`text` it counts where Elasticsearch analyses the field: ids, numbers, addresses and dates only filter. Where the types
of the fields are not known, what looks like one of these does not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.wildcard import matches

# Source: Elasticsearch reference, "Metadata fields"; `_exists_` is the query string's own.
_METADATA: Final = frozenset(
    {"_exists_", "_field_names", "_id", "_ignored", "_index", "_nested_path", "_routing", "_seq_no", "_source"}
    | {"_tier", "_type", "_version", "_doc_count"}
)
# Letters without digits: `user-17`, `2024-05-01T00:00Z`, `10.0.0.1`, `a@b.c` and hashes are no words.
_WORD: Final = re.compile(r"[^\w\s]*+[^\W\d_][^\d_@/:]*+:?+")
# Elasticsearch refuses a clause on more fields (`indices.query.bool.max_clause_count`).
_MOST_NAMES: Final = 1024


class TextFields:
    """Tells which clauses count. ``analysed`` are the names of the index's text fields, None where not known."""

    def __init__(self, mapping: IndexMapping, analysed: Collection[str] | None = None) -> None:
        self._mapped = [field.name for field in mapping.fields]
        self._others = mapping.query_fields
        self._analysed = analysed
        self.unsure = False
        """Whether it would have helped to know ``analysed``."""

    def counted(self, names: Sequence[str], texts: Iterable[str]) -> Iterator[str]:
        """Yield those of a clause's texts that count."""
        return (text for text in texts if self.count(names, text))

    def count(self, names: Sequence[str], text: str) -> bool:
        """Return whether a full-text clause on these fields, of which each may be a pattern with a boost, counts.

        No names are all fields.
        """
        plain = [name for name in (each.partition("^")[0] for each in names[:_MOST_NAMES]) if name not in _METADATA]
        if not names or any(same_field(field, name) for field in plain for name in self._mapped):
            return True
        if not plain or self._others != "text":
            return bool(plain) and self._others == "all"
        if self._analysed is None:
            self.unsure = True
            return any(_WORD.fullmatch(word) for word in text.split())
        return any(field in self._analysed or _covers(field, self._analysed) for field in plain)

    def count_exact(self, name: str) -> bool:
        """Return whether a clause on a field's indexed terms counts: where the field is mapped, and analysed."""
        return name in self._mapped and (self._analysed is None or name in self._analysed)


def same_field(field: str, name: str) -> bool:
    """Return whether a query's field is the mapped one, a pattern that covers it, or one is the other's multi-field."""
    return field.startswith(f"{name}.") or name.startswith(f"{field}.") or matches(field, name)


def _covers(pattern: str, names: Collection[str]) -> bool:
    return "*" in pattern and any(matches(pattern, name) for name in names)
