"""What an index expression stands for: concrete indices of aliases, data streams and wildcards; fields that hold text.

Elasticsearch itself is asked (``GET /_resolve/index/<expression>``, ``GET /<expression>/_field_caps``), with the
caller's own credentials: what a caller may not see does not resolve for them. Answers are kept for a while, per caller.
Source: Elasticsearch reference, "Resolve index API", "Field capabilities API".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from sidecar.cache import ByteCache
from sidecar.elasticsearch.dialect import ELASTICSEARCH
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.upstream import Fetch
from sidecar.errors import UpstreamError
from sidecar.rescoring.aside import aside

_MAX_BYTES = 16 << 20
_LONGEST_EXPRESSION = 4096  # what Elasticsearch takes of a whole request line by default
_NAME = 50  # bytes of a name besides its characters, about
# An index of a data stream: the stream's name is what a configuration says. Source: "Data streams", backing indices.
_BACKING = re.compile(r"^\.ds-(.+)-\d{4}\.\d{2}\.\d{2}-\d{6}$")
# The types whose fields are analysed; some are reported as their family, `text`.
_TEXT_TYPES = "text,match_only_text,search_as_you_type,semantic_text,annotated_text,pattern_text"
_MAX_TEXT_FIELDS = 1000
_CALLER_HEADERS = ("authorization", "es-security-runas-user", "x-found-cluster")


class _Index(msgspec.Struct):
    name: str


class _Alias(msgspec.Struct):
    name: str
    indices: list[str] | str


class _DataStream(msgspec.Struct):
    name: str


class _Resolution(msgspec.Struct):
    indices: list[_Index] = []
    aliases: list[_Alias] = []
    data_streams: list[_DataStream] = []


class _Capabilities(msgspec.Struct):
    fields: dict[str, msgspec.Raw] = {}


_Answer = TypeVar("_Answer", bound=Collection[str])


class IndexResolver:
    """Resolves index expressions and remembers the answers for ``ttl`` seconds, least used dropped first."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._known = ByteCache[tuple[float, Any]](_MAX_BYTES)

    async def names(self, expression: str, headers: Mapping[str, str], fetch: Fetch) -> tuple[str, ...]:
        """Return the concrete index and data stream names, sorted; none when Elasticsearch does not say."""
        if len(expression) > _LONGEST_EXPRESSION:
            return ()
        target = ELASTICSEARCH.resolve + _quoted(expression) + "?expand_wildcards=open&ignore_unavailable=true"
        return await self._known_or_asked(target, _names, headers, fetch) or ()

    async def text_fields(self, expression: str, headers: Mapping[str, str], fetch: Fetch) -> frozenset[str] | None:
        """Return the names of the fields that are analysed, None when Elasticsearch does not say or they are many."""
        if len(expression) > _LONGEST_EXPRESSION:
            return None
        query = f"?fields=*&types={_TEXT_TYPES}&filter_path=fields.*.*.type&ignore_unavailable=true"
        target = f"/{_quoted(expression)}/_field_caps{query}"
        return await self._known_or_asked(target, _text_fields, headers, fetch)

    async def _known_or_asked(
        self, target: str, read: Callable[[bytes], _Answer | None], headers: Mapping[str, str], fetch: Fetch
    ) -> _Answer | None:
        key = (target, caller(headers))
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            answer: _Answer | None = known[1]
            return answer
        answer = await _ask(target, read, fetch)
        names: Collection[str] = answer or ()
        self._known.put(
            key, (self._clock() + self._ttl, answer), len(target) + sum(_NAME + len(name) for name in names)
        )
        return answer


def caller(headers: Mapping[str, str]) -> bytes:
    """Return a digest of who asks; credentials themselves are not kept."""
    identity = "\0".join(headers.get(name, "") for name in _CALLER_HEADERS)
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _quoted(expression: str) -> str:
    return quote(expression, safe="*,-")


async def _ask(target: str, read: Callable[[bytes], _Answer | None], fetch: Fetch) -> _Answer | None:
    try:
        answer = await fetch("GET", target, None)
        return await aside(len(answer.body), read, answer.body) if answer.status == 200 else None
    except (UpstreamError, ValueError):
        return None  # the search itself will tell the client what is wrong


def _text_fields(body: bytes) -> frozenset[str] | None:
    found = decode(body, _Capabilities).fields
    return frozenset(found) if len(found) <= _MAX_TEXT_FIELDS else None


def _names(body: bytes) -> tuple[str, ...]:
    found = decode(body, _Resolution)
    names = {index.name for index in found.indices} | {stream.name for stream in found.data_streams}
    for alias in found.aliases:
        names.update([alias.indices] if isinstance(alias.indices, str) else alias.indices)
    return tuple(sorted({configured_name(name) for name in names}))


def configured_name(index: str) -> str:
    """Return the name that a configuration knows an index by: of a data stream's index, the stream's."""
    return _BACKING.sub(r"\1", index)
