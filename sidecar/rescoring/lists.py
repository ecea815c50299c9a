"""What became of each list, kept for a short time, so that all its pages show one order.

Pages of a list are requests of their own. Between two of them the load changes, the configuration, the model's state:
the first may be scored in part, the second in full, the third not at all, and hits would be lost and repeated. So the
first page that is answered settles the list: which hits were scored and their order, or that it was not rescored, and
under which mapping. Later pages follow it and cost the model nothing.

A hit that is new in the window since then was not scored: it stands after those that were, in Elasticsearch's order.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sidecar.cache import ByteCache
from sidecar.config import model as config
from sidecar.elasticsearch.request import SearchRequest
from sidecar.reasons import Reason
from sidecar.rescoring.mappings import Match
from sidecar.rescoring.overrides import HEADERS
from sidecar.rescoring.remembered import Order
from sidecar.rescoring.resolver import caller

_DISPLAYED: Final = ("from", "size", "aggs", "aggregations", "suggest", "profile", "track_total_hits")
"""Members of a body that do not decide which list it is: its page, and what is shown beside the hits."""
_SHOWN: Final = frozenset(
    {"from", "size", "source", "source_content_type", "filter_path", "pretty", "human", "track_total_hits"}
)
_HEADERS: Final = tuple(header.lower() for header in HEADERS.values())
_HIT, _LIST = 80, 400  # bytes, about


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a list under a mapping: an order, or a reason why it has none; neither while that is open."""

    match: Match
    order: Order | None = None
    reason: Reason | None = None

    @property
    def size(self) -> int:
        """The bytes that it takes, about."""
        return _LIST + (_HIT * len(self.order.names) if self.order else 0)


class Lists:
    """Long-lived. Thread-safe, but for waiting, which is the event loop's."""

    def __init__(self, settings: config.Config, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.known = ByteCache[tuple[float, Settled]](settings.lists.memory)
        self.use(settings)
        self._lock = threading.Lock()
        self._scoring: dict[bytes, asyncio.Future[None]] = {}

    def use(self, settings: config.Config) -> None:
        """Take new settings for lists from now on."""
        self._ttl = settings.lists.ttl
        self.known.limit = settings.lists.memory
        self.pages_of_failures = settings.on_failure == "pass"

    @property
    def kept(self) -> bool:
        """Whether lists are kept at all."""
        return self._ttl > 0 and self.known.limit > 0

    def find(self, key: bytes | None) -> Settled | None:
        """Return what became of a list, None where that is not known (any longer)."""
        found = None if key is None else self.known.get(key)
        return found[1] if found is not None and found[0] > self._clock() else None

    def settle(self, key: bytes | None, settled: Settled) -> Settled:
        """Note what became of a list, and return it: what was noted first, where that was more than its mapping."""
        if key is None:
            return settled
        with self._lock:
            before = self.find(key)
            if before is not None and (before.order or before.reason or not (settled.order or settled.reason)):
                return before
            keep = self.known.put if settled.order or settled.reason else self.known.take  # others are told what counts
            keep(key, (self._clock() + self._ttl, settled), settled.size)
        return settled

    @contextmanager
    def scoring(self, keys: Collection[bytes | None]) -> Iterator[None]:
        """Have others who ask for these lists wait until the end of the block."""
        mine = {key: asyncio.get_running_loop().create_future() for key in keys if key and key not in self._scoring}
        self._scoring |= mine
        try:
            yield
        finally:
            for key, future in mine.items():
                del self._scoring[key]
                if not future.done():
                    future.set_result(None)

    async def others_done(self, keys: Collection[bytes | None], seconds: float) -> None:
        """Wait until nobody scores these lists, but no longer than ``seconds``."""
        others = {self._scoring[key] for key in keys if key in self._scoring}
        if others:
            await asyncio.wait(others, timeout=max(0.0, seconds))

    def stats(self) -> dict[str, float]:
        """Return counters (names end in `_total`) and gauges."""
        return {"hits_total": self.known.hits, "misses_total": self.known.misses, "bytes": self.known.size}


def key_of(request: SearchRequest) -> bytes | None:
    """Name the list that a search asks a page of: by who asks, what is searched, and the body less its page.

    It is None where the search cannot be read.
    """
    try:
        body: Mapping[str, Any] = request.search.value
        listed = {name: value for name, value in body.items() if name not in _DISPLAYED}
        params = {name: value for name, value in request.params.items() if name not in _SHOWN}
        headers = [request.headers.get(name) for name in _HEADERS]
        path = request.target.partition("?")[0]
        named = [request.scope.hex(), path, sorted(params.items()), headers, listed]
        text = msgspec.json.encode(named)
    except (ValueError, RecursionError, UnicodeEncodeError):
        return None
    return hashlib.blake2b(caller(request.headers) + text, digest_size=16).digest()
