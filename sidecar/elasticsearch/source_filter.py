"""Which parts of `_source` the client's own request makes Elasticsearch send.

Parameters replace the body's `_source` altogether; `_source_includes` replaces a list given as `_source`.
Without any filter the whole `_source` comes, unless `stored_fields` or `script_fields` are asked for.
Source: Elasticsearch reference, "Retrieve selected fields"; each form observed on 9.5.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.elasticsearch.wildcard import matches

_PARAMETERS = ("_source", "_source_includes", "_source_excludes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFilter:
    """``fetched``: there is a `_source` at all. No ``includes`` means everything."""

    fetched: bool = True
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def shows(self, field: str) -> bool:
        """Return whether all of a field's value is sent; for a multi-field, its parent's value will do."""
        included = not self.includes or any(_covers(pattern, field) for pattern in self.includes)
        return self.fetched and included and not any(_touches(pattern, field) for pattern in self.excludes)


def source_filter(body: Mapping[str, Any], params: Mapping[str, str]) -> SourceFilter:
    """Return the filter that holds for a search."""
    if any(name in params for name in _PARAMETERS):
        return _from_parameters(params)
    if "_source" in body:
        return _from_body(body["_source"])
    stored = names(body.get("stored_fields")) + names(params.get("stored_fields"))
    replaced = "stored_fields" in body or "stored_fields" in params or bool(body.get("script_fields"))
    return SourceFilter(fetched=not replaced or "_source" in stored)


def names(value: Any) -> tuple[str, ...]:
    """Return the names of a list, or of a comma list as parameters have it."""
    if isinstance(value, str):
        return tuple(name for name in value.split(",") if name)
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _from_parameters(params: Mapping[str, str]) -> SourceFilter:
    given = params.get("_source", "true")
    includes = () if given in ("true", "false") else names(given)
    if "_source_includes" in params:
        includes = names(params["_source_includes"])
    excludes = names(params.get("_source_excludes"))
    return SourceFilter(fetched=given != "false", includes=includes, excludes=excludes)


def _from_body(value: Any) -> SourceFilter:
    if isinstance(value, bool):
        return SourceFilter(fetched=value)
    if isinstance(value, dict):
        includes = value.get("includes", value.get("include"))
        excludes = value.get("excludes", value.get("exclude"))
        return SourceFilter(includes=_listed(includes), excludes=_listed(excludes))
    return SourceFilter(includes=_listed(value))


def _listed(value: Any) -> tuple[str, ...]:
    """Return the patterns of a list, or the one pattern; in bodies a comma is part of it."""
    return (value,) if isinstance(value, str) else names(value)


def _covers(pattern: str, field: str) -> bool:
    return matches(pattern, field) or matches(f"{pattern}.*", field)


def _touches(pattern: str, field: str) -> bool:
    """Return whether a pattern takes the field, something in it, or the object it is in."""
    return _covers(pattern, field) or pattern.startswith(f"{field}.")
