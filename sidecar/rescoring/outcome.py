"""What becomes of a search: it is answered here, it goes on to Elasticsearch, or it is refused.

Each carries the record that observers and headers get, whoever decided.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.events import RescoreRecord
from sidecar.rescoring.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The request goes on to Elasticsearch, whose answer is streamed.

    ``body`` and ``target`` replace the client's where those held what is ours alone; None sends what came.
    """

    record: RescoreRecord
    body: bytes | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An error of ours in Elasticsearch's shape."""

    record: RescoreRecord
    status: int
    kind: str
    message: str


Outcome = Answer | Passed | Rejected
