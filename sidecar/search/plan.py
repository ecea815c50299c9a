"""From one search request to a plan for rescoring it, or the reason why it stays as it is.

The widened request is the client's with a few bytes spliced: `from` and `size`, our own `ext.rescore` taken
out, and `fields` added where the client's `_source` filter hides the texts that the model must read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from sidecar.config.model import IndexMapping
from sidecar.search import body_edits, reasons
from sidecar.search.body_edits import DocumentPlan
from sidecar.search.json_splice import Span, members, whole
from sidecar.search.overrides import Overrides, overrides
from sidecar.search.query_text import query_text
from sidecar.search.routes import parameters, with_parameters
from sidecar.search.types import BadRequest, PassThrough, SearchRequest, Settings, Window
from sidecar.search.unsuitable import unsuitable, widest
from sidecar.search.window import window

_DEFAULT_SIZE = 10
_JSON = msgspec.json.Decoder()
# These are taken out of the target: ours go into the body, and the answer is filtered after rescoring.
_TAKEN = frozenset({"from", "size", "filter_path", "source", "source_content_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RescorePlan:
    """How one search is rescored. ``method``, ``target`` and ``body`` are the widened upstream request.

    ``original_body`` is the client's body without our `ext.rescore`, or None where it had none.
    ``explain_tree`` tells that the client asked for Elasticsearch's own explanations.
    """

    pattern: str
    mapping: IndexMapping
    query_text: str
    window: Window
    settings: Settings
    method: str
    target: str
    body: bytes
    documents: DocumentPlan
    filter_path: str | None = None
    original_body: bytes | None = None
    explain_tree: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A request taken apart: its JSON text, decoded value, spans of its members, and its parameters."""

    text: bytes
    value: dict[str, Any]
    spans: dict[str, Span]
    params: dict[str, str]
    stripped: bytes | None


def plan(
    request: SearchRequest, mapping: IndexMapping, pattern: str, models: frozenset[str] | None = None
) -> RescorePlan | PassThrough | BadRequest:
    """Plan one search on an index that ``mapping`` covers."""
    try:
        read = _read(request)
    except ValueError:
        return PassThrough(reasons.BODY_FORMAT)
    chosen = overrides(_ext(read.value), request.headers, mapping, models)
    if isinstance(chosen, BadRequest):
        return chosen
    found = _plan(request, read, chosen, mapping, pattern)
    return found if isinstance(found, RescorePlan) else replace(found, body=read.stripped)


def _read(request: SearchRequest) -> _Read:
    """Take a request apart.

    Raises:
        ValueError: its body is not plain JSON, or has a key twice anywhere (Elasticsearch refuses that itself).
    """
    params = parameters(request.target)
    text = request.body or params.get("source", "").encode()
    if not text.strip():
        return _Read(text=b"", value={}, spans={}, params=params, stripped=None)
    body_edits.refuse_duplicates(text)
    spans = members(text, whole(text))
    value = _decode(text)
    stripped = body_edits.without_ext(text, spans) if _ext(value) is not None else None
    if stripped is not None:
        text, spans = stripped, members(stripped, whole(stripped))
    return _Read(text=text, value=value, spans=spans, params=params, stripped=stripped if request.body else None)


def _decode(text: bytes) -> dict[str, Any]:
    try:
        value = _JSON.decode(text)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _ext(value: dict[str, Any]) -> Any:
    ext = value.get("ext")
    return ext.get("rescore") if isinstance(ext, dict) else None


def _plan(
    request: SearchRequest, read: _Read, chosen: Overrides, mapping: IndexMapping, pattern: str
) -> RescorePlan | PassThrough:
    refused = PassThrough(reasons.DISABLED) if not chosen.enabled else unsuitable(request, read.value, read.params)
    page = refused or _page(read, chosen.window_size)
    text = chosen.query or query_text(read.value, read.params, mapping)
    if isinstance(page, PassThrough):
        return page
    if not text:
        return PassThrough(reasons.NO_QUERY_TEXT)
    return _widened(request, read, chosen, mapping, pattern, page, text)


def _page(read: _Read, window_size: int) -> Window | PassThrough:
    """Give the window; parameters win over the body, as in Elasticsearch."""
    try:
        from_ = _whole_number(read.params.get("from", read.value.get("from", 0)))
        size = _whole_number(read.params.get("size", read.value.get("size", _DEFAULT_SIZE)))
    except ValueError:
        return PassThrough(reasons.BAD_PARAMETERS)
    limit = widest(read.value)
    if limit is not None and from_ + size > limit:
        return PassThrough(reasons.BEYOND_WINDOW)
    return window(from_, size, window_size if limit is None else min(window_size, limit))


def _whole_number(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a whole number")
    return value


def _widened(
    request: SearchRequest,
    read: _Read,
    chosen: Overrides,
    mapping: IndexMapping,
    pattern: str,
    page: Window,
    text: str,
) -> RescorePlan:
    documents = body_edits.documents(read.value, read.params, mapping)
    body, added = b"", {"from": "0", "size": str(page.fetched)}
    if read.text or documents.added:
        body, added = body_edits.widened(read.text or b"{}", page.fetched, documents), {}
    return RescorePlan(
        pattern=pattern,
        mapping=mapping,
        query_text=text,
        window=page,
        settings=chosen.settings,
        method=request.method,
        target=with_parameters(request.target, _TAKEN, added),
        body=body,
        documents=documents,
        filter_path=read.params.get("filter_path"),
        original_body=read.stripped,
        explain_tree=read.value.get("explain") is True or read.params.get("explain") in ("true", ""),
    )
