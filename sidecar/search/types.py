"""The values that the search modules take and return.

Pure data, shared by planning (request side), applying (response side) and the rescorer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.config.model import Fusion
from sidecar.reasons import Reason


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Not rescored, and why. The same short reason is header value, metric label and log field.

    ``body`` is the body to send instead of the client's, without our `ext.rescore` that Elasticsearch would
    refuse, and ``target`` the request target where a parameter held it; None sends what came.
    """

    reason: Reason
    body: bytes | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class BadRequest:
    """The request's own override is wrong: a 400 in Elasticsearch's error shape, naming the field."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """One search as it came. ``target`` is the raw request target, ``body`` has no content coding.

    ``headers`` holds the request's headers with lower-case names.
    """

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``size_rescored`` = W entries are permuted; the page is ``[from_, from_ + size)`` of the list.

    ``limit`` is how many hits the search may be asked for, None without a limit.
    """

    size_rescored: int
    from_: int
    size: int
    limit: int | None = None

    @property
    def fetched(self) -> int:
        """Hits to ask Elasticsearch for, from 0: the window, or more on a straddling page."""
        wanted = max(self.size_rescored, self.from_ + self.size)
        return wanted if self.limit is None else min(wanted, self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for this one request: the mapping's values under its permitted overrides."""

    model: str | None
    timeout: float
    fusion: Fusion
    explain: bool = False
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One first-stage hit. ``raw`` are Elasticsearch's bytes."""

    raw: bytes
    text: str
    score: float | None
