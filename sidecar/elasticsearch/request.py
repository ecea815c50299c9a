"""A request on a search endpoint, parsed once: its parameters, its JSON, and our own `ext.rescore` apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote

from sidecar.elasticsearch import body_edits
from sidecar.elasticsearch.json_bytes import members, whole
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.target import parameters, with_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBody:
    """A search in JSON.

    Attributes:
        text: the JSON less our `ext.rescore`; empty where the request has none.
        value: the decoded JSON, as it came.
        ext: the decoded `ext.rescore`.
        changed: whether anything was taken out of the text.
    """

    text: bytes = b""
    value: Mapping[str, Any]
    ext: Any = None
    changed: bool = False


@dataclass(frozen=True, kw_only=True)  # no slots: what was parsed is kept
class SearchRequest:
    """One request as it came.

    Attributes:
        method: the method.
        target: the raw request target.
        body: the body without content coding.
        headers: the first value of each header by lower-case name.
        client: the address that it comes from.
        scope: of a search in an `_msearch`, that request's target and the line that says what is searched.
    """

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str]
    client: str = ""
    scope: bytes = b""

    @cached_property
    def params(self) -> Mapping[str, str]:
        """The query parameters, decoded."""
        return parameters(self.target)

    def prepare(self) -> Self:
        """Parse what is not parsed yet: the only part of a request whose cost grows with it. Return the request."""
        _ = self._parsed
        return self

    @property
    def search(self) -> SearchBody:
        """The search in the body, or in the parameter `source` where there is no body.

        Raises:
            ValueError: it is not plain JSON, or has a key twice anywhere (Elasticsearch refuses that itself).
        """
        if isinstance(self._parsed, ValueError):
            raise self._parsed
        return self._parsed

    @cached_property
    def _parsed(self) -> SearchBody | ValueError:
        try:
            return self._parse()
        except ValueError as problem:
            return problem

    def _parse(self) -> SearchBody:
        text = self.body or self.params.get("source", "").encode()
        if not text:
            return SearchBody(value={})
        body_edits.refuse_duplicates(text)
        spans = members(text, whole(text))
        value = _decode(text)
        ext = value.get("ext")
        if not isinstance(ext, dict) or "rescore" not in ext:
            return SearchBody(text=text, value=value)
        return SearchBody(text=body_edits.without_ext(text, spans), value=value, ext=ext["rescore"], changed=True)

    @property
    def pit(self) -> str | None:
        """The id of the point in time that is searched, None where there is none."""
        try:
            pit = self.search.value.get("pit")
        except ValueError:
            return None
        name = pit.get("id") if isinstance(pit, dict) else None
        return name if isinstance(name, str) else None

    @property
    def body_for_elasticsearch(self) -> bytes | None:
        """The body less our `ext.rescore`, None where there is nothing to take out of it."""
        return self._stripped if self.body else None

    @property
    def target_for_elasticsearch(self) -> str | None:
        """The target less the `ext.rescore` in its `source`, None where there is nothing to take out of it."""
        text = None if self.body else self._stripped
        if text is None:
            return None
        return with_parameters(self.target, frozenset({"source"}), {"source": quote(text, safe="")})

    @property
    def _stripped(self) -> bytes | None:
        if not may_override(self.body or self.params.get("source", "").encode()):
            return None
        try:
            return self.search.text if self.search.changed else None
        except ValueError:
            return None


def _decode(text: bytes) -> dict[str, Any]:
    value = decode(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def may_override(text: bytes) -> bool:
    """Return whether a text may hold our `ext.rescore`, by its bytes alone; names may be spelt in escapes."""
    return b"rescore" in text or b"\\u" in text
