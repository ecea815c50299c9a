"""The client's search, to be asked for other parts of its list than the page that it names.

A list is always asked for in the same parts, whatever page of it a client wants: its window in one request, what a
page shows after the window in another. So no page can run into something that the others do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from sidecar.elasticsearch import body_edits
from sidecar.elasticsearch.target import parameters, with_parameters

_SOURCE = frozenset({"source", "source_content_type"})
# Aggregations and suggestions are those of the window's answer; hits do not depend on them.
_CUT = ("aggs", "aggregations", "suggest", "profile")
# What decides which documents a search sees; all else that parameters say is of its answer or its query.
_INDICES = frozenset(
    {
        *("ignore_unavailable", "allow_no_indices", "expand_wildcards", "ignore_throttled"),
        *("routing", "preference", "ccs_minimize_roundtrips"),
    }
)
_ASYNC = frozenset({"wait_for_completion_timeout", "keep_on_completion", "keep_alive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSearch:
    """One search to send."""

    method: str
    target: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSearch:
    """A search less our `ext.rescore`: ``text`` is its JSON, empty where it has none.

    ``in_body``: the text came as the body, and not in the parameter `source`. The answer is filtered after
    rescoring, so `filter_path` is never sent.
    """

    method: str
    target: str
    text: bytes
    in_body: bool

    def part(self, from_: int, size: int | None) -> UpstreamSearch:
        """Return the search for ``size`` hits from ``from_`` on; None leaves `size` where the client has it.

        Raises:
            ValueError: the body is not an object.
        """
        taken = frozenset({"from", "filter_path"}) if size is None else frozenset({"from", "size", "filter_path"})
        if not self.text:
            numbers = {"from": from_ or None, "size": size}
            added = {name: str(value) for name, value in numbers.items() if value is not None}
            return self._to(with_parameters(self.target, taken, added), b"")
        return self._with(body_edits.part(self.text, from_, size), taken)

    def hits_only(self) -> ClientSearch:
        """Return the search less what costs time and changes nothing in its hits."""
        return replace(self, text=body_edits.without(self.text, _CUT)) if self.text else self

    def whole(self) -> UpstreamSearch:
        """Return the search as the client asked it, less `filter_path`."""
        taken = frozenset({"filter_path"})
        return self._with(self.text, taken) if self.text else self._to(with_parameters(self.target, taken, {}), b"")

    def on_same_documents(self, body: bytes) -> UpstreamSearch:
        """Return a search of our own on what the client's sees: its path, and the parameters that choose documents."""
        unwanted = frozenset(parameters(self.target)) - _INDICES
        return UpstreamSearch(method="POST", target=with_parameters(self.target, unwanted, {}), body=body)

    def synchronous(self) -> ClientSearch:
        """Return the `_search` that an `_async_search` runs."""
        path, question, query = self.target.partition("?")
        plain = path.rstrip("/").rpartition("/")[0] + "/_search"
        return replace(self, target=with_parameters(plain + question + query, _ASYNC, {}))

    def _with(self, text: bytes, taken: frozenset[str]) -> UpstreamSearch:
        """Return the search with another text; where the client sent no body, it goes into `source`."""
        if self.in_body:
            return self._to(with_parameters(self.target, taken, {}), text)
        source = {"source": quote(text, safe=""), "source_content_type": "application/json"}
        return self._to(with_parameters(self.target, taken | _SOURCE, source), b"")

    def _to(self, target: str, body: bytes) -> UpstreamSearch:
        return UpstreamSearch(method=self.method, target=target, body=body)
