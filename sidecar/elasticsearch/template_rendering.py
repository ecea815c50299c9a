"""Search templates: what is asked of `_render/template`, and the search that its answer is.

Elasticsearch renders a template, sets `explain` and `profile` to what the template request says, and searches.
Source: Elasticsearch reference, "Search template" and "Render search template".
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.elasticsearch import filter_path
from sidecar.elasticsearch.body_edits import with_flags
from sidecar.elasticsearch.dialect import ELASTICSEARCH
from sidecar.elasticsearch.json_bytes import Edit, members, splice, whole
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.request import SearchRequest, may_override
from sidecar.elasticsearch.target import parameters

RENDER: Final = ELASTICSEARCH.render
_FLAGS = ("explain", "profile")
_STATUS = b'{"status":200}'
# Others, such as `size`, are read and then dropped with the empty search that the template replaces.
_PARAMETERS = frozenset(
    {
        *("allow_no_indices", "ccs_minimize_roundtrips", "expand_wildcards", "ignore_throttled", "ignore_unavailable"),
        *("preference", "routing", "scroll", "search_type", "rest_total_hits_as_int", "typed_keys"),
        *("allow_partial_search_results", "batched_reduce_size", "max_concurrent_shard_requests"),
        *("pre_filter_shard_size", "request_cache", "max_concurrent_searches"),
        *("filter_path", "format", "pretty", "human", "error_trace"),
    }
)


def may_hold_override(template: bytes) -> bool:
    """Return whether the search that a template stands for may hold our `ext.rescore`; a stored one always may."""
    return may_override(template) or b'"id"' in template


def takes_parameters(target: str) -> bool:
    """Return whether all parameters mean to a template what they mean to a search."""
    return parameters(target).keys() <= _PARAMETERS


def search_target(target: str) -> str:
    """Return the target of the search: that of the template less its last segment."""
    path, question, query = target.partition("?")
    return path.rstrip("/").rpartition("/")[0] + question + query


def rendered(template: bytes, answer: bytes) -> bytes:
    """Return the search body that ``template`` stands for, of the answer of `_render/template`.

    Raises:
        ValueError: either is not what it should be.
    """
    asked: Any = decode(template)
    top = members(answer, whole(answer))
    if not isinstance(asked, dict) or "template_output" not in top:
        raise ValueError("no template")
    # one line: a search of an `_msearch` must not hold newlines, and JSON has them only between tokens
    output = top["template_output"].of(answer).replace(b"\n", b" ").replace(b"\r", b" ")
    return with_flags(output, {name: asked.get(name) in (True, "true") for name in _FLAGS})


def with_status(answer: bytes, filters: str | None) -> bytes:
    """Return the answer to a search with a `status` at its end, where `filter_path`, ``filters``, leaves one.

    Raises:
        ValueError: ``answer`` is not an object.
    """
    told = _STATUS if filters is None else filter_path.apply(_STATUS, filters)
    inner, end = told.strip()[1:-1], whole(answer).end - 1
    if not inner:
        return answer
    comma = b"," if members(answer, whole(answer)) else b""
    return splice(answer, [Edit(end, end, comma + inner)])


def as_search(request: SearchRequest, body: bytes) -> SearchRequest:
    """Return the `_search` that a rendered template is."""
    return SearchRequest(
        method=request.method,
        target=search_target(request.target),
        body=body,
        headers=request.headers,
        client=request.client,
    )
