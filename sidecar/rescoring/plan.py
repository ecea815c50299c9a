"""From one search request to a plan for rescoring it, or the reason why it stays as it is.

The window's request is the client's with a few bytes spliced: `from` and `size`, our own `ext.rescore` taken
out. It is the same for every page of a list. Whatever more were asked for would show elsewhere: aggregations of
`top_hits` inherit `fields`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.client_search import ClientSearch, UpstreamSearch
from sidecar.elasticsearch.dialect import ELASTICSEARCH, Dialect
from sidecar.elasticsearch.media_types import json_body
from sidecar.elasticsearch.request import SearchBody, SearchRequest
from sidecar.reasons import Reason
from sidecar.rescoring.documents import hidden_fields, highlight_tags
from sidecar.rescoring.overrides import Overrides, overrides
from sidecar.rescoring.query_text.text import query_text
from sidecar.rescoring.query_text.text_fields import TextFields
from sidecar.rescoring.remembered import Order
from sidecar.rescoring.unsuitable import unsuitable
from sidecar.rescoring.values import BadRequest, Settings, Window
from sidecar.rescoring.window import default_size, list_limit, window

_SOURCE = frozenset({"source", "source_content_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RescorePlan:
    """How one search is rescored. ``search`` is the client's, of which the ``window`` and the rest are asked.

    ``highlight_tags`` mark the highlighted words in its answer.
    ``looked_up`` are the fields whose texts are fetched in a search of their own, in the point in time ``pit`` where
    the client's is in one (see `lookup`). ``own`` are members of searches of our own. ``caller`` is who shares the
    model with others.
    ``key`` names the list whose page this is, None where it is not to be kept; ``recalled`` is its order,
    where another page has settled it.
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
    own: Mapping[str, str] = field(default_factory=dict)
    filter_path: str | None = None
    caller: bytes = b""
    key: bytes | None = None
    recalled: Order | None = None

    @property
    def required(self) -> int | None:
        """How many hits must be scored for a search to be rescored; None: the whole window."""
        return self.mapping.min_window if self.mapping.budget else None

    @property
    def read_text(self) -> str:
        """What the model reads of the query: its first words. Long queries say more than a small model can weigh."""
        most = self.mapping.max_query_words
        return self.query_text if most is None else first_words(self.query_text, most)

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


def first_words(text: str, count: int) -> str:
    """Return the text up to its ``count``th word; a text without that many stays as it is."""
    words = re.finditer(r"\S+", text)
    last = next(itertools.islice(words, count - 1, None), None)
    return text if last is None else text[: last.end()]


def plan(
    request: SearchRequest,
    mapping: IndexMapping,
    pattern: str,
    fusions: Mapping[str | None, Fusion],
    fields: TextFields | None = None,
    dialect: Dialect = ELASTICSEARCH,
) -> RescorePlan | Reason | BadRequest:
    """Plan one search on an index that ``mapping`` covers.

    Args:
        request: the search.
        mapping: how it is rescored.
        pattern: what the mapping is configured under.
        fusions: the one that fits each model, by its name in `engine.models`; None is the default model's.
        fields: tells which clauses hold text.
        dialect: of the server that is asked.
    """
    refused = _body_refused(request)
    if refused is not None:
        return refused
    try:
        search = request.search
    except ValueError:
        return Reason.UNPARSABLE
    chosen = overrides(search.ext, request.headers, mapping, fusions)
    if isinstance(chosen, BadRequest):
        return chosen
    planned = _plan(request, search, chosen, mapping, pattern, fields or TextFields(mapping))
    return replace(planned, own=dialect.own) if isinstance(planned, RescorePlan) else planned


def _body_refused(request: SearchRequest) -> Reason | None:
    """Return the reason not to read the body at all. A body and `source` together are Elasticsearch's to refuse."""
    in_parameters = _SOURCE & request.params.keys()
    if request.body:
        if in_parameters:
            return Reason.BAD_PARAMETERS
        return None if json_body(request.headers.get("content-type")) else Reason.BODY_FORMAT
    if not in_parameters:
        return None
    if in_parameters != _SOURCE:
        return Reason.BAD_PARAMETERS
    return None if json_body(request.params["source_content_type"]) else Reason.BODY_FORMAT


def _plan(
    request: SearchRequest,
    search: SearchBody,
    chosen: Overrides,
    mapping: IndexMapping,
    pattern: str,
    fields: TextFields,
) -> RescorePlan | Reason:
    if not chosen.enabled:
        return Reason.DISABLED
    params = request.params
    pipelines = mapping.search_pipeline == "rescore"
    page = unsuitable(request.headers, search.value, params, pipelines=pipelines) or _page(search.value, params, chosen)
    if isinstance(page, Reason):
        return page
    text = chosen.query or query_text(search.value, params, mapping.query_paths, fields)
    if not text:
        return Reason.NO_QUERY_TEXT
    if chosen.fields is not None:
        mapping = mapping.model_copy(update={"fields": chosen.fields})
    return _planned(request, search, chosen, mapping, pattern, page, text)


def _page(body: Mapping[str, Any], params: Mapping[str, str], chosen: Overrides) -> Window | Reason:
    """Return the window; parameters win over the body, as in Elasticsearch."""
    try:
        from_ = _whole_number(params.get("from", body.get("from", 0)))
        size = _whole_number(params.get("size", body.get("size", default_size(body))))
    except ValueError:
        return Reason.BAD_PARAMETERS
    ends = chosen.settings.min_score is not None
    return window(from_, size, chosen.window_size, list_limit(body), ends=ends)


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
    search: SearchBody,
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
        search=ClientSearch(method=request.method, target=request.target, text=search.text, in_body=bool(request.body)),
        highlight_tags=highlight_tags(search.value),
        looked_up=hidden_fields(search.value, request.params, mapping),
        pit=search.value.get("pit"),
        filter_path=request.params.get("filter_path"),
    )
