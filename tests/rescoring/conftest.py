"""An observer that keeps what it is told, and a search as the proxy hands it on."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from sidecar.elasticsearch.upstream import EVER, UpstreamAnswer
from sidecar.observing.records import RescoreRecord, SearchStart, ShadowRecord, Tell
from sidecar.reasons import Reason


class Told:
    """Keeps the records."""

    def __init__(self) -> None:
        self.searches: list[RescoreRecord] = []
        self.shadows: list[ShadowRecord] = []

    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        """Keep each single search's record."""
        return nullcontext(lambda record: self.searches.extend(record.searches))

    def shadow(self, record: ShadowRecord) -> None:
        """Keep one comparison."""
        self.shadows.append(record)


class Node(Protocol):
    """A stand-in for Elasticsearch."""

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer: ...


@dataclass
class Request:
    """A search as the proxy hands it on."""

    node: Node
    target: str
    body: bytes
    headers: dict[str, str]
    method: str = "POST"
    client: str = "127.0.0.1"

    async def read(self) -> bytes | Reason:
        """Return the body."""
        return self.body

    async def fetch(self, method: str, target: str, body: bytes | None, within: float = EVER) -> UpstreamAnswer:
        """Ask the node."""
        return await self.node.fetch(method, target, body)
