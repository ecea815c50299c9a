"""The search body of each query: from a template, or BM25 over the mapped fields. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

PLACEHOLDER: Final = "{{query}}"
ID_PLACEHOLDER: Final = "{{query_id}}"


def template(text: str, where: str) -> dict[str, Any]:
    """Read a JSON template: inside strings ``{{query}}`` is the query's text, and ``{{query_id}}`` its id.

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


def defaults(fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the templates where the user gives none, by name: one for one field, Elasticsearch's three for several.

    The best of the three is what rescoring is compared with: a weak first stage makes gains that are none.
    """
    if len(fields) == 1:
        return {"match": {"query": {"match": {fields[0]: PLACEHOLDER}}, "_source": False}}
    several = {"query": PLACEHOLDER, "fields": list(fields)}
    kinds = {
        name: {"multi_match": {**several, "type": name, "lenient": True}} for name in ("most_fields", "best_fields")
    }
    queries = {"combined_fields": {"combined_fields": several}, **kinds}
    return {name: {"query": query, "_source": False} for name, query in queries.items()}


def filled(body: Mapping[str, Any], query_id: str, query: str, depth: int) -> dict[str, Any]:
    """Return one query's body: the text and the id put in, the first ``depth`` hits asked for."""
    given = {PLACEHOLDER: query, ID_PLACEHOLDER: query_id}
    found: dict[str, Any] = {name: _filled(value, given) for name, value in body.items() if name != "from"}
    return {**found, "size": depth}


_PLACEHOLDERS: Final = re.compile("|".join(map(re.escape, (PLACEHOLDER, ID_PLACEHOLDER))))


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDERS.sub(lambda found: given[found[0]], value)
    if isinstance(value, list):
        return [_filled(item, given) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, given) for name, item in value.items()}
    return value


def only_judged(body: Mapping[str, Any], documents: Collection[str]) -> dict[str, Any]:
    """Return the body that finds these documents alone; one that no clause matches comes last, with a score of 0."""
    asked = body.get("query", {"match_all": {}})
    judged = {"bool": {"should": [asked], "filter": [{"ids": {"values": sorted(documents)}}]}}
    return {**body, "query": judged}


def rescored(body: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the overrides of one system; what the template's own `ext.rescore` says else stays."""
    ext = body.get("ext") or {}
    return {**body, "ext": {**ext, "rescore": {**(ext.get("rescore") or {}), **override}}}


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body for Elasticsearch itself, which knows no `ext.rescore`."""
    ext = {name: value for name, value in (body.get("ext") or {}).items() if name != "rescore"}
    return {name: value for name, value in body.items() if name != "ext"} | ({"ext": ext} if ext else {})
