"""The values that the search modules take and return.

Pure data, shared by planning (request side), applying (response side) and the rescorer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sidecar.config.fusion import Fusion


@dataclass(frozen=True, slots=True)
class BadRequest:
    """The request's own override is wrong: a 400 in Elasticsearch's error shape, naming the field."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``size_rescored`` = W entries are permuted; the page is ``[from_, from_ + size)`` of the list.

    ``end`` is where a list ends that ranks no more hits, None where it goes on. ``exact``: no other `size` than the
    client's may be asked for.
    """

    size_rescored: int
    from_: int
    size: int
    end: int | None = None
    exact: bool = False

    @property
    def fetched(self) -> int:
        """Hits to ask Elasticsearch for, from 0: the same for every page of a list."""
        return self.size if self.exact else self.size_rescored

    @property
    def asked_size(self) -> int | None:
        """The `size` of the window's request, None for the client's own."""
        return None if self.exact else self.size_rescored

    @property
    def rest_from(self) -> int:
        """Where what the page shows after the fetched window starts."""
        return max(self.fetched, self.from_)

    @property
    def rest_size(self) -> int:
        """How many hits the page shows after the fetched window."""
        page_end = self.from_ + self.size
        return max(0, (page_end if self.end is None else min(page_end, self.end)) - self.rest_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for this one request: the mapping's values under its permitted overrides."""

    model: str | None
    timeout: float
    fusion: Fusion
    explain: bool | Literal["text"] = False
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One first-stage hit. ``raw`` are Elasticsearch's bytes.

    ``name`` tells documents apart: index, id and routing, since an id may occur on several shards.
    """

    raw: bytes
    text: str
    score: float | None
    name: tuple[str, str, str | None] | None = None
