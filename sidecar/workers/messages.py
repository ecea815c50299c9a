"""The messages between the first process and its children."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from sidecar.config.model import Config
from sidecar.observing.families import Family


@dataclass(frozen=True, slots=True)
class Begin:
    """To a child, first: what it is, and the configuration."""

    role: Literal["worker", "scorer"]
    config: Config
    require_model: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """To a worker, with a client's connection; or to the scoring process, with a worker's."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """To a worker, with a connection to the scoring process."""


@dataclass(frozen=True, slots=True)
class Shared:
    """From a worker, and then to all: a value for one of the caches that they share."""

    cache: str
    key: Hashable
    value: Any
    size: int


@dataclass(frozen=True, slots=True)
class Silent:
    """To a worker: whether the scoring process does not answer."""

    silent: bool


@dataclass(frozen=True, slots=True)
class Use:
    """To a worker: the configuration for searches from now on."""

    config: Config


@dataclass(frozen=True, slots=True)
class Report:
    """To a child: say how you are."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To a child: end what runs, and then yourself."""


@dataclass(frozen=True, slots=True)
class Started:
    """From a child: it does its work; the scoring process's models are loaded."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """From a child: it cannot, and ends."""

    message: str


@dataclass(frozen=True, slots=True)
class Reported:
    """From a child: its metrics, what it describes, and why it is not ready, if so."""

    families: list[Family]
    described: dict[str, Any] = field(default_factory=dict)
    unready: str | None = None
