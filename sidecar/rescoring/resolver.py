"""Which concrete indices an index expression names: aliases, data streams, wildcards, date math.

Elasticsearch itself is asked (``GET /_resolve/index/<expression>``), with the caller's own credentials:
what a caller may not see does not resolve for them. Answers are kept for a while, per caller.
Source: Elasticsearch reference, "Resolve index API".
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from sidecar.errors import UpstreamError
from sidecar.search.dialect import ELASTICSEARCH
from sidecar.search.lenient_json import decode
from sidecar.upstream_types import Fetch

_MAX_ENTRIES = 4096
# An index of a data stream: the stream's name is what a configuration says. Source: "Data streams", backing indices.
_BACKING = re.compile(r"^\.ds-(.+)-\d{4}\.\d{2}\.\d{2}-\d{6}$")
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


class IndexResolver:
    """Resolves index expressions and remembers the answers for ``ttl`` seconds, least used dropped first."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._known: OrderedDict[tuple[str, bytes], tuple[float, tuple[str, ...]]] = OrderedDict()

    async def names(self, expression: str, headers: Mapping[str, str], fetch: Fetch) -> tuple[str, ...]:
        """Give the concrete index and data stream names, sorted; none when Elasticsearch does not say."""
        key = (expression, _caller(headers))
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            self._known.move_to_end(key)
            return known[1]
        names = await _ask(expression, fetch)
        self._remember(key, names)
        return names

    def _remember(self, key: tuple[str, bytes], names: tuple[str, ...]) -> None:
        self._known[key] = (self._clock() + self._ttl, names)
        self._known.move_to_end(key)
        if len(self._known) > _MAX_ENTRIES:
            self._known.popitem(last=False)


def _caller(headers: Mapping[str, str]) -> bytes:
    """Give a digest of who asks; credentials themselves are not kept."""
    identity = "\0".join(headers.get(name, "") for name in _CALLER_HEADERS)
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()


async def _ask(expression: str, fetch: Fetch) -> tuple[str, ...]:
    target = ELASTICSEARCH.resolve + quote(expression, safe="*,-") + "?expand_wildcards=open&ignore_unavailable=true"
    try:
        answer = await fetch("GET", target, None, None)
        return _names(answer.body) if answer.status == 200 else ()
    except (UpstreamError, ValueError):
        return ()  # the search itself will tell the client what is wrong


def _names(body: bytes) -> tuple[str, ...]:
    found = decode(body, _Resolution)
    names = {index.name for index in found.indices} | {stream.name for stream in found.data_streams}
    for alias in found.aliases:
        names.update([alias.indices] if isinstance(alias.indices, str) else alias.indices)
    return tuple(sorted({_BACKING.sub(r"\1", name) for name in names}))
