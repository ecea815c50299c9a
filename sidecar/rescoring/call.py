"""One request on a search endpoint, as it is handed down: parsed once, with all that is needed to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.config.model import Config
from sidecar.elasticsearch.request import SearchRequest
from sidecar.elasticsearch.upstream import EVER, Fetch, LookUp, UpstreamAnswer
from sidecar.reasons import Reason
from sidecar.rescoring.mappings import Match


class Incoming(Protocol):
    """A search that comes in, its body not read yet."""

    @property
    def method(self) -> str:
        """The method."""
        ...

    @property
    def target(self) -> str:
        """The raw request target."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The first value of each header by lower-case name."""
        ...

    @property
    def client(self) -> str:
        """The address that it comes from."""
        ...

    async def read(self) -> bytes | Reason:
        """Read and decode the body, or say why it can only be streamed."""
        ...

    async def fetch(self, method: str, target: str, body: bytes | None, /, within: float = EVER) -> UpstreamAnswer:
        """Ask Elasticsearch with the client's own headers and credentials: a ``Fetch``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on a search endpoint.

    Attributes:
        index: the index expression in its path, None where there is none.
        words: the path's segments behind it.
        match: the mapping that applies, or why none does; None while only the body tells the indices.
        request: the request, whole.
        config: the configuration in force when it came.
        fetch: asks Elasticsearch with the client's own headers and credentials.
        look_up: does so for what a plan needs to know, and gives up after the longest `timeout` of all mappings.
    """

    index: str | None
    words: tuple[str, ...]
    match: Match | Reason | None
    request: SearchRequest
    config: Config
    fetch: Fetch
    look_up: LookUp

    @property
    def pattern(self) -> str | None:
        """The name or pattern of the mapping in `indices`, as records have it."""
        return self.match.pattern if isinstance(self.match, Match) else None

    @property
    def strict(self) -> bool:
        """Whether a search whose scoring failed is answered with an error."""
        return self.config.on_failure == "error"
