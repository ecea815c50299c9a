"""From one search request to a plan for rescoring it, or the reason why it stays as it is.

The window's request is the client's with a few bytes spliced: `from` and `size`, our own `ext.rescore` taken
out. It is the same for every page of a list. Whatever more were asked for would show elsewhere: aggregations of
`top_hits` inherit `fields`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sidecar.config.model import IndexMapping
from sidecar.reasons import Reason
from sidecar.search import body_edits
from sidecar.search.client_search import ClientSearch, UpstreamSearch
from sidecar.search.documents import highlight_tags
from sidecar.search.json_splice import members, whole
from sidecar.search.lenient_json import decode
from sidecar.search.list_limit import default_size, list_limit
from sidecar.search.overrides import Overrides, overrides
from sidecar.search.query_text import query_text
from sidecar.search.routes import parameters, with_parameters
from sidecar.search.text_fields import TextFields
from sidecar.search.types import BadRequest, PassThrough, SearchRequest, Settings, Window
from sidecar.search.unsuitable import json_body, unsuitable
from sidecar.search.window import window

_SOURCE = frozenset({"source", "source_content_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RescorePlan:
    """How one search is rescored. ``search`` is the client's, of which the ``window`` and the rest are asked.

    ``original_body`` is the client's body without our `ext.rescore`, or None where it had none.
    ``highlight_tags`` mark the highlighted words in its answer.
    ``looked_up`` are the fields whose texts are fetched in a search of their own, in the point in time ``pit`` where
    the client's is in one (see `lookup`).
    """

    pattern: str
    mapping: IndexMapping
    query_text: str
    window: Window
    settings: Settings
    search: ClientSearch
    highlight_tags: tuple[str, ...]
    looked_up: tuple[str, ...] = ()
    pit: Any = None
    filter_path: str | None = None
    original_body: bytes | None = None

    @property
    def widened(self) -> UpstreamSearch:
        """The request for the window."""
        return self.search.part(0, self.window.asked_size)

    @property
    def rest(self) -> UpstreamSearch:
        """The request for what the page shows after the window."""
        size = None if self.window.exact else self.window.rest_size
        return self.search.hits_only().part(self.window.rest_from, size)

    @property
    def all_at_once(self) -> UpstreamSearch:
        """The request for everything up to the page's end."""
        size = None if self.window.exact else self.window.rest_from + self.window.rest_size
        return self.search.hits_only().part(0, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A request taken apart: its JSON text without our `ext.rescore`, decoded value, and parameters.

    ``stripped`` is the body less our `ext.rescore`, None where there is nothing to take out.
    """

    text: bytes
    value: dict[str, Any]
    params: dict[str, str]
    ext: Any = None
    stripped: bytes | None = None


def plan(
    request: SearchRequest,
    mapping: IndexMapping,
    pattern: str,
    models: Collection[str],
    fields: TextFields | None = None,
) -> RescorePlan | PassThrough | BadRequest:
    """Plan one search on an index that ``mapping`` covers.

    Args:
        request: the search.
        mapping: how it is rescored.
        pattern: what the mapping is configured under.
        models: the names of `engine.models`.
        fields: tells which clauses hold text.
    """
    params = parameters(request.target)
    refused = _body_refused(request, params)
    if refused is not None:
        return refused
    try:
        read = _read(request, params)
    except ValueError:
        return PassThrough(Reason.UNPARSABLE)
    chosen = overrides(read.ext, request.headers, mapping, models)
    if isinstance(chosen, BadRequest):
        return chosen
    found = _plan(request, read, chosen, mapping, pattern, fields or TextFields(mapping))
    return found if isinstance(found, RescorePlan) else replace(found, body=read.stripped)


def without_override(request: SearchRequest) -> bytes | None:
    """Give a search's body less our `ext.rescore`, None where there is nothing to take out of it."""
    if not may_override(request.body):
        return None
    try:
        return _read(request, parameters(request.target)).stripped
    except ValueError:
        return None


def may_override(text: bytes) -> bool:
    """Tell whether a text may hold our `ext.rescore`, by its bytes alone; names may be spelt in escapes."""
    return b"rescore" in text or b"\\u" in text


def target_without_override(request: SearchRequest) -> str | None:
    """Give the target less the `ext.rescore` in its `source`, None where there is nothing to take out of it."""
    if request.body or "rescore" not in request.target:
        return None
    params = parameters(request.target)
    try:
        text = _read(request, params).text
    except ValueError:
        return None
    if text == params.get("source", "").encode():
        return None
    return with_parameters(request.target, frozenset({"source"}), {"source": quote(text, safe="")})


def _body_refused(request: SearchRequest, params: dict[str, str]) -> PassThrough | None:
    """Give the reason not to read the body at all. A body and `source` together are Elasticsearch's to refuse."""
    in_parameters = _SOURCE & params.keys()
    if request.body:
        if in_parameters:
            return PassThrough(Reason.BAD_PARAMETERS)
        return None if json_body(request.headers.get("content-type")) else PassThrough(Reason.BODY_FORMAT)
    if not in_parameters:
        return None
    if in_parameters != _SOURCE:
        return PassThrough(Reason.BAD_PARAMETERS)
    return None if json_body(params["source_content_type"]) else PassThrough(Reason.BODY_FORMAT)


def _read(request: SearchRequest, params: dict[str, str]) -> _Read:
    """Take a request apart.

    Raises:
        ValueError: its body is not plain JSON, or has a key twice anywhere (Elasticsearch refuses that itself).
    """
    text = request.body or params.get("source", "").encode()
    if not text:
        return _Read(text=b"", value={}, params=params)
    body_edits.refuse_duplicates(text)
    spans = members(text, whole(text))
    value = _decode(text)
    ext = value.get("ext")
    if not isinstance(ext, dict) or "rescore" not in ext:
        return _Read(text=text, value=value, params=params)
    text = body_edits.without_ext(text, spans)
    return _Read(
        text=text,
        value=value,
        params=params,
        ext=ext["rescore"],
        stripped=text if request.body else None,
    )


def _decode(text: bytes) -> dict[str, Any]:
    value = decode(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _plan(
    request: SearchRequest,
    read: _Read,
    chosen: Overrides,
    mapping: IndexMapping,
    pattern: str,
    fields: TextFields,
) -> RescorePlan | PassThrough:
    if not chosen.enabled:
        return PassThrough(Reason.DISABLED)
    page = unsuitable(request.headers, read.value, read.params) or _page(read, chosen)
    if isinstance(page, PassThrough):
        return page
    text = chosen.query or query_text(read.value, read.params, mapping.query_paths, fields)
    if not text:
        return PassThrough(Reason.NO_QUERY_TEXT)
    return _planned(request, read, chosen, mapping, pattern, page, text)


def _page(read: _Read, chosen: Overrides) -> Window | PassThrough:
    """Give the window; parameters win over the body, as in Elasticsearch."""
    try:
        from_ = _whole_number(read.params.get("from", read.value.get("from", 0)))
        size = _whole_number(read.params.get("size", read.value.get("size", default_size(read.value))))
    except ValueError:
        return PassThrough(Reason.BAD_PARAMETERS)
    ends = chosen.settings.min_score is not None
    return window(from_, size, chosen.window_size, list_limit(read.value), ends=ends)


def _whole_number(value: Any) -> int:
    """Read a number as Elasticsearch does: strings count, fractions are cut off, 32 bits are the limit."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    if isinstance(value, str) and not re.fullmatch(r"\+?[0-9]{1,10}", value):
        raise ValueError("not a whole number")
    if not 0 <= float(value) < 1 << 31:
        raise ValueError("out of range")
    return int(value)


def _planned(
    request: SearchRequest,
    read: _Read,
    chosen: Overrides,
    mapping: IndexMapping,
    pattern: str,
    page: Window,
    text: str,
) -> RescorePlan:
    return RescorePlan(
        pattern=pattern,
        mapping=mapping,
        query_text=text,
        window=page,
        settings=chosen.settings,
        search=ClientSearch(method=request.method, target=request.target, text=read.text, in_body=bool(request.body)),
        highlight_tags=highlight_tags(read.value),
        looked_up=body_edits.hidden_fields(read.value, read.params, mapping),
        pit=read.value.get("pit"),
        filter_path=read.params.get("filter_path"),
        original_body=read.stripped,
    )
