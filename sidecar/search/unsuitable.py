"""Searches that are not a ranked list by relevance, or whose answer we could not take apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.search import reasons
from sidecar.search.types import PassThrough, SearchRequest

_JSON_TYPES = ("application/json", "application/vnd.elasticsearch+json", "*/*", "application/*")
_COMPOUND_DEFAULT = 10


def unsuitable(request: SearchRequest, body: Mapping[str, Any], params: Mapping[str, str]) -> PassThrough | None:
    """Give the reason why a search stays as it is, or None."""
    checks = {
        reasons.SCROLL: "scroll" in params,
        reasons.SEARCH_AFTER: "search_after" in body or "search_after" in params,
        reasons.SLICED: "slice" in body,
        reasons.SORTED: not (_by_score(body.get("sort")) and _by_score(params.get("sort"))),
        reasons.STORED_FIELDS_NONE: "_none_" in (body.get("stored_fields"), params.get("stored_fields"))
        or body.get("stored_fields") == ["_none_"],
        reasons.BODY_FORMAT: not json_body(request.headers.get("content-type"), request.body)
        or not json_body(params.get("source_content_type"), b""),
        reasons.ANSWER_FORMAT: not json_answer(request.headers.get("accept"), params),
    }
    return next((PassThrough(reason) for reason, holds in checks.items() if holds), None)


def _by_score(sort: Any) -> bool:
    """Tell whether a `sort` is none at all or `_score` alone, descending."""
    if sort is None or sort in ("_score", "_score:desc"):
        return True
    if isinstance(sort, list):
        return len(sort) == 0 or (len(sort) == 1 and _by_score(sort[0]))
    if isinstance(sort, dict) and list(sort) == ["_score"]:
        order = sort["_score"]
        return bool((order.get("order", "desc") if isinstance(order, dict) else order) == "desc")
    return False


def json_body(content_type: str | None, body: bytes) -> bool:
    """Tell whether a body is declared as JSON in UTF-8; none declared is what `GET` without a body has."""
    if content_type is None:
        return True
    kind, _, rest = content_type.lower().partition(";")
    charset = rest.partition("charset=")[2].strip(' "')
    return kind.strip() in _JSON_TYPES[:2] and charset.partition(";")[0] in ("", "utf-8", "utf8")


def json_answer(accept: str | None, params: Mapping[str, str]) -> bool:
    """Tell whether the answer comes as JSON: `format` wins over `Accept`, as in Elasticsearch."""
    if "format" in params:
        return params["format"] == "json"
    kinds = [part.partition(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    return kinds[0] in _JSON_TYPES


def widest(body: Mapping[str, Any]) -> int | None:
    """Give how many hits a compound retriever lets one ask for, None without such a limit.

    Elasticsearch refuses a `size` above `rank_window_size` (or a rescorer's `window_size`), 10 by default.
    """
    retriever = body.get("retriever")
    if not isinstance(retriever, dict) or len(retriever) != 1:
        return None
    [(name, inner)] = retriever.items()
    if name in ("standard", "knn") or not isinstance(inner, dict):
        return None
    if name == "rescorer":
        rescore = inner.get("rescore")
        steps = rescore if isinstance(rescore, list) else [rescore]
        sizes = [step.get("window_size", _COMPOUND_DEFAULT) for step in steps if isinstance(step, dict)]
    else:
        sizes = [inner.get("rank_window_size", _COMPOUND_DEFAULT)]
    return min((size for size in sizes if isinstance(size, int)), default=_COMPOUND_DEFAULT)
