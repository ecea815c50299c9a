"""`_msearch` bodies and answers: taken apart into searches, and put together again, bytes kept.

A body is pairs of lines, header and search, each ended by a newline; a header may be empty.
Source: Elasticsearch reference, "Multi search".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sidecar.elasticsearch.json_bytes import Edit, Span, elements, members, plain, splice, whole
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.request import SearchRequest

_INDEX_KEYS = ("index", "indices")
_EXPAND_KEYS = ("expand_wildcards", "expandWildcards")
_STATUS = re.compile(rb'[,{]\s*"status"\s*:\s*([0-9]{3})\s*\}\s*\Z')
_STATUS_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SubSearch:
    """One search of several.

    ``header`` and ``body`` are its lines; ``index`` and ``expand_wildcards`` are None when the header has none.
    """

    header: bytes
    body: bytes
    index: str | None
    expand_wildcards: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An `_msearch` answer taken apart: the answers of its searches lie at ``slots``."""

    answer: bytes
    top: Mapping[str, Span]
    slots: tuple[Span, ...]

    def item(self, i: int) -> bytes:
        """Return the bytes of one search's answer."""
        return self.slots[i].of(self.answer)


def split(body: bytes) -> list[SubSearch]:
    """Take a body apart.

    Raises:
        ValueError: Elasticsearch would refuse it, or it is not JSON line by line.
    """
    lines = body.split(b"\n")
    if lines.pop().strip():
        raise ValueError("not terminated by a newline")
    if len(lines) % 2 and not lines[-1].strip():
        lines.pop()  # Elasticsearch overlooks one empty line at the end
    if not lines or len(lines) % 2:
        raise ValueError("a header without a search")
    return [_sub(header, search) for header, search in zip(lines[::2], lines[1::2], strict=True)]


def _sub(header: bytes, body: bytes) -> SubSearch:
    value = decode(header) if header.strip() else {}
    if not isinstance(value, dict):
        raise ValueError("a header is not an object")
    index, expand = (_joined(value, keys) for keys in (_INDEX_KEYS, _EXPAND_KEYS))
    return SubSearch(header=header, body=body, index=index, expand_wildcards=expand)


def _joined(header: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """Return the names that the first of these keys has, joined by commas."""
    value = next((header[key] for key in keys if header.get(key) is not None), None)
    if value is None:
        return None
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name is not a string")
    return ",".join(names)


def join(lines: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the body of pairs of header and search."""
    return b"".join(header + b"\n" + body + b"\n" for header, body in lines)


def as_search(sub: SubSearch, request: SearchRequest) -> SearchRequest:
    """Return the `_search` that a sub-search is; of the parameters only `format` matters to its plan."""
    format_ = request.params.get("format")
    target = "/_search" if format_ is None else f"/_search?format={quote(format_)}"
    body = sub.body.strip() or b"{}"
    scope = request.target.encode("utf-8", "surrogatepass") + b"\n" + sub.header
    return SearchRequest(
        method="POST", target=target, body=body, headers=request.headers, client=request.client, scope=scope
    )


def envelope(answer: bytes, count: int) -> Envelope:
    """Take an answer apart.

    Raises:
        ValueError: it is not the answer to ``count`` searches.
    """
    text = plain(answer)
    top = members(text, whole(text))
    slots = tuple(elements(text, top["responses"])) if "responses" in top else ()
    if len(slots) != count:
        raise ValueError(f"{len(slots)} answers to {count} searches")
    return Envelope(answer=answer, top=top, slots=slots)


def assemble(found: Envelope, items: Sequence[bytes], took_ms: int) -> bytes:
    """Return the answer with these items; the white space between as many items stays Elasticsearch's."""
    edits = [Edit(span.start, span.end, str(took_ms).encode()) for name, span in found.top.items() if name == "took"]
    if len(items) == len(found.slots):
        edits += [Edit(slot.start, slot.end, item) for slot, item in zip(found.slots, items, strict=True)]
    else:
        responses = found.top["responses"]
        edits.append(Edit(responses.start, responses.end, b"[" + b",".join(items) + b"]"))
    return splice(found.answer, edits)


EMPTY = Envelope(
    answer=b'{"took":0,"responses":[]}', top=members(b'{"took":0,"responses":[]}', Span(0, 0, 25)), slots=()
)
"""The answer to no searches at all, for requests of which nothing is left to ask."""


def status(item: bytes) -> int:
    """Return the `status` of one search's answer, 0 where it has none; Elasticsearch writes it at the end."""
    last = _STATUS.search(item, max(0, len(item) - _STATUS_LENGTH))
    if last is not None:
        return int(last[1])
    try:
        value = decode(members(item, whole(item))["status"].of(item))
    except (ValueError, KeyError):
        return 0
    return value if isinstance(value, int) else 0
