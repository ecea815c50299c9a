"""Searches that are not a ranked list by relevance, or whose answer we could not take apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.elasticsearch.dialect import NO_PIPELINE
from sidecar.elasticsearch.filter_path import too_long
from sidecar.elasticsearch.media_types import json_answer
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.source_filter import names
from sidecar.reasons import Reason


def unsuitable(
    headers: Mapping[str, str], body: Mapping[str, Any], params: Mapping[str, str], *, pipelines: bool = False
) -> Reason | None:
    """Return the reason why a search stays as it is, or None.

    Args:
        headers: the request's headers with lower-case names.
        body: the decoded body.
        params: the decoded query parameters.
        pipelines: whether searches that name a search pipeline are rescored.
    """
    checks = {
        Reason.SCROLL: "scroll" in params,
        Reason.SEARCH_AFTER: "search_after" in body or "search_after" in _standard(body),
        Reason.SEARCH_PIPELINE: not pipelines and names_pipeline(body, params),
        Reason.SLICED: "slice" in body,
        Reason.SORTED: _sorted(body, params),
        Reason.STORED_FIELDS_NONE: "_none_" in names(body.get("stored_fields")) + names(params.get("stored_fields")),
        Reason.BAD_PARAMETERS: not isinstance(body.get("fields", []), list),
        Reason.FILTER_PATH: too_long(params.get("filter_path")),
        Reason.ANSWER_FORMAT: not json_answer(headers.get("accept"), params.get("format")),
    }
    return next((reason for reason, holds in checks.items() if holds), None)


def names_pipeline(body: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    """Return whether a search names a search pipeline of OpenSearch, or brings one along."""
    return _pipeline(body, params) not in (None, NO_PIPELINE)


def _pipeline(body: Mapping[str, Any], params: Mapping[str, str]) -> Any:
    """Return the pipeline of a search, None where it leaves that to its indices; the parameter wins."""
    return params.get("search_pipeline", body.get("search_pipeline"))


def leaves_pipeline(request: SearchRequest) -> bool:
    """Return whether a search goes through the search pipeline of its indices, if they have one.

    A search in a point in time names no indices.
    """
    try:
        return request.pit is None and _pipeline(request.search.value, request.params) is None
    except ValueError:
        return True


def _standard(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members of an outermost `standard` retriever: it may sort where a search may."""
    retriever = body.get("retriever")
    standard = retriever.get("standard") if isinstance(retriever, dict) else None
    return standard if isinstance(standard, dict) else {}


def _sorted(body: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    """Return whether hits are sorted, or carry `sort` values that clients page by.

    Sorts of parameters and body add up, and a search in a point in time gets one more when it has any: only a
    single `_score` leaves no `sort` values in the hits (observed on 9.5.3).
    """
    sorts = [sort for sort in (body.get("sort"), params.get("sort"), _standard(body).get("sort")) if sort]
    return len(sorts) > 1 or not all(_by_score(sort) for sort in sorts) or (bool(sorts) and "pit" in body)


def _by_score(sort: Any) -> bool:
    """Return whether a `sort` is `_score` alone, descending."""
    if isinstance(sort, list):
        return len(sort) == 1 and not isinstance(sort[0], list) and _by_score(sort[0])
    if isinstance(sort, dict) and list(sort) == ["_score"]:
        order = sort["_score"]
        order = order.get("order", "desc") if isinstance(order, dict) else order
        return isinstance(order, str) and order.lower() == "desc"
    return sort in ("_score", "_score:desc")
