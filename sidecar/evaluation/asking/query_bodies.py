"""The search body of each query: from a template, or BM25 over the mapped fields. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PLACEHOLDER: Final = "{{query}}"


def template(text: str, where: str) -> dict[str, Any]:
    """Read a JSON template in which ``{{query}}`` inside strings stands for the query's text.

    Raises:
        ValueError: it is no JSON object, or has no placeholder.
    """
    try:
        body = json.loads(text)
    except ValueError as problem:
        raise ValueError(f"{where}: not valid JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise ValueError(f"{where}: expected a search body, a JSON object")
    if PLACEHOLDER not in text:
        raise ValueError(f'{where}: no "{PLACEHOLDER}" in it, which stands for the query\'s text')
    return body


def default(fields: Sequence[str]) -> dict[str, Any]:
    """Return the template where the user gives none: `match` on one field, `multi_match` on several."""
    if len(fields) == 1:
        return {"query": {"match": {fields[0]: PLACEHOLDER}}, "_source": False}
    several = {"query": PLACEHOLDER, "fields": list(fields), "lenient": True}
    return {"query": {"multi_match": several}, "_source": False}


def filled(body: Mapping[str, Any], query: str, depth: int) -> dict[str, Any]:
    """Return one query's body: the text put in, the first ``depth`` hits asked for."""
    found: dict[str, Any] = {name: _filled(value, query) for name, value in body.items() if name != "from"}
    return {**found, "size": depth}


def _filled(value: Any, query: str) -> Any:
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, query)
    if isinstance(value, list):
        return [_filled(item, query) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, query) for name, item in value.items()}
    return value


def rescored(body: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the overrides of one system; what the template's own `ext.rescore` says else stays."""
    ext = body.get("ext") or {}
    return {**body, "ext": {**ext, "rescore": {**(ext.get("rescore") or {}), **override}}}


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body for Elasticsearch itself, which knows no `ext.rescore`."""
    ext = {name: value for name, value in (body.get("ext") or {}).items() if name != "rescore"}
    return {name: value for name, value in body.items() if name != "ext"} | ({"ext": ext} if ext else {})
