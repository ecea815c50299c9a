"""What an index expression stands for: concrete indices of aliases, data streams and wildcards; fields that hold text.

Elasticsearch itself is asked (``GET /<expression>/_field_caps``), with the caller's own credentials: what a caller may
not see does not resolve for them. It names exactly the indices that a search of the same parameters sees, closed and
hidden ones considered, and whoever may search may ask it. Answers are kept for a while, per caller; where the next one
fails, the last one stays: pages of one list must not be read in two ways since a single answer got lost.
Source: Elasticsearch reference, "Field capabilities API", "Multi-target syntax".
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from sidecar.cache import ByteCache
from sidecar.elasticsearch.dialect import NO_PIPELINE
from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.upstream import LookUp
from sidecar.errors import UpstreamError
from sidecar.rescoring.aside import aside

_MAX_BYTES = 16 << 20
_LONGEST_EXPRESSION = 4096  # what Elasticsearch takes of a whole request line by default
_NAME = 50  # bytes of a name besides its characters, about
# An index of a data stream: the stream's name is what a configuration says. Source: "Data streams", backing indices.
# Elasticsearch's have a date, OpenSearch's have none.
_BACKING = re.compile(r"^\.ds-(.+?)(?:-\d{4}\.\d{2}\.\d{2})?-\d{6}$")
# The types whose fields are analysed; some are reported as their family, `text`.
_TEXT_TYPES = "text,match_only_text,search_as_you_type,semantic_text,annotated_text,pattern_text"
_MAX_TEXT_FIELDS = 1000
# Source: OpenSearch documentation, "Default search pipeline".
_PIPELINE = "index.search.default_pipeline"
# Refusals that asking again would meet, too; all others may be of this one moment.
_FINAL_STATUSES = frozenset({400, 401, 403, 404})
# Who asks, in Elastic's and in OpenSearch's words: credentials, impersonation, identities that a proxy before us gives.
_CALLER_HEADERS = (
    *("authorization", "es-security-runas-user", "x-found-cluster"),
    *("opendistro_security_impersonate_as", "x-proxy-user", "x-proxy-roles", "securitytenant", "cookie"),
)


class _Failure(msgspec.Struct):
    indices: list[str] = []


class _Searched(msgspec.Struct):
    indices: list[str] = []
    failures: list[_Failure] = []


class _Settings(msgspec.Struct):
    settings: dict[str, str] = {}


class _Capabilities(msgspec.Struct):
    fields: dict[str, msgspec.Raw] = {}
    failures: list[_Failure] = []


_Answer = TypeVar("_Answer", bound=Collection[str])
Said = tuple[_Answer | None, bool]
"""What Elasticsearch says, None where that is nothing of use, and whether it is all that there is to say."""
_NOTHING: Said[Any] = (None, False)


class IndexResolver:
    """Resolves index expressions and remembers the answers for ``ttl`` seconds, least used dropped first."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._known = ByteCache[tuple[float, Any]](_MAX_BYTES)
        self._asked: dict[tuple[str, bytes], asyncio.Task[Any]] = {}

    async def names(
        self, expression: str, expand: str | None, headers: Mapping[str, str], look_up: LookUp
    ) -> tuple[str, ...] | None:
        """Return the names of the indices and data streams that are searched, sorted; None when that is not known.

        ``expand`` is the search's `expand_wildcards`.
        """
        path = f"_field_caps?fields=_id&filter_path=indices,failures.indices{_options(expand)}"
        return await self._known_or_asked(expression, path, _names, headers, look_up)

    async def text_fields(
        self, expression: str, expand: str | None, headers: Mapping[str, str], look_up: LookUp
    ) -> frozenset[str] | None:
        """Return the names of the fields that are analysed, None when Elasticsearch does not say or they are many."""
        query = f"fields=*&types={_TEXT_TYPES}&filter_path=fields.*.*.type,failures.indices"
        path = f"_field_caps?{query}{_options(expand)}"
        return await self._known_or_asked(expression, path, _text_fields, headers, look_up)

    async def pipelines(
        self, expression: str, expand: str | None, headers: Mapping[str, str], look_up: LookUp
    ) -> frozenset[str] | None:
        """Return the search pipelines that the indices add to their searches, None when OpenSearch does not say."""
        path = f"_settings/{_PIPELINE}?flat_settings=true{_options(expand)}"
        return await self._known_or_asked(expression, path, _pipelines, headers, look_up)

    async def _known_or_asked(
        self,
        expression: str,
        path: str,
        read: Callable[[bytes], Said[_Answer]],
        headers: Mapping[str, str],
        look_up: LookUp,
    ) -> _Answer | None:
        """Return what is known, or ask: once for all who want to know at the same time."""
        if len(expression) > _LONGEST_EXPRESSION:
            return None
        key = (f"/{_quoted(expression)}/{path}", caller(headers))
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            answer: _Answer | None = known[1]
            return answer
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._ask(key, read, look_up))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key))
        asked: asyncio.Task[_Answer | None] = self._asked[key]
        return await asyncio.shield(asked)

    async def _ask(
        self, key: tuple[str, bytes], read: Callable[[bytes], Said[_Answer]], look_up: LookUp
    ) -> _Answer | None:
        answer, whole = await _asked(key[0], read, look_up)
        known = None if whole else self._known.get(key)
        answer = known[1] if known is not None and known[1] is not None else answer
        names: Collection[str] = answer or ()
        size = len(key[0]) + sum(_NAME + len(name) for name in names)
        self._known.put(key, (self._clock() + self._ttl, answer), size)
        return answer


def caller(headers: Mapping[str, str]) -> bytes:
    """Return a digest of who asks; credentials themselves are not kept."""
    identity = "\0".join(headers.get(name, "") for name in _CALLER_HEADERS)
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _options(expand: str | None) -> str:
    """Return the parameters that decide which indices count: a search that lacks one fails by itself."""
    chosen = "" if expand is None else f"&expand_wildcards={quote(expand, safe=',')}"
    return f"&ignore_unavailable=true{chosen}"


def _quoted(expression: str) -> str:
    return quote(expression, safe="*,-")


async def _asked(target: str, read: Callable[[bytes], Said[_Answer]], look_up: LookUp) -> Said[_Answer]:
    try:
        answer = await look_up("GET", target, None)
        if answer.status != 200:
            return None, answer.status in _FINAL_STATUSES
        return await aside(len(answer.body), read, answer.body)
    except (UpstreamError, ValueError):
        return _NOTHING  # the search itself will tell the client what is wrong


def _text_fields(body: bytes) -> Said[frozenset[str]]:
    found = decode(body, _Capabilities)
    fields = frozenset(found.fields)
    return (fields if len(fields) <= _MAX_TEXT_FIELDS else None), not found.failures


def _pipelines(body: bytes) -> Said[frozenset[str]]:
    found = {index.settings.get(_PIPELINE, NO_PIPELINE) for index in decode(body, dict[str, _Settings]).values()}
    return frozenset(found - {NO_PIPELINE}), True


def _names(body: bytes) -> Said[tuple[str, ...]]:
    found = decode(body, _Searched)
    names = {*found.indices, *(name for failure in found.failures for name in failure.indices)}
    return tuple(sorted({configured_name(name) for name in names})), True


def configured_name(index: str) -> str:
    """Return the name that a configuration knows an index by: of a data stream's index, the stream's."""
    return _BACKING.sub(r"\1", index)
