"""What becomes of a search: it is answered here, it goes on to Elasticsearch, or it is refused.

Each carries the record that observers and headers get, whoever decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.observing.records import RescoreRecord
from sidecar.reasons import Reason
from sidecar.rescoring.call import Call
from sidecar.rescoring.values import BadRequest

FAILURE: Final = "rescoring_exception"
BAD_OVERRIDE: Final = "illegal_argument_exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer. ``body`` has no content coding; ``record`` gives the added headers."""

    record: RescoreRecord
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


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


Outcome = Answered | Passed | Rejected


def answered(upstream: UpstreamAnswer, record: RescoreRecord, body: bytes | None = None) -> Answered:
    """Return Elasticsearch's answer, its body replaced where one is given."""
    return Answered(
        record=record, status=upstream.status, headers=upstream.headers, body=upstream.body if body is None else body
    )


def passed(reason: Reason, call: Call) -> Passed:
    """Return the request as it came, less what is ours alone."""
    request = call.request
    record = passed_record(reason, call)
    return Passed(record=record, body=request.body_for_elasticsearch, target=request.target_for_elasticsearch)


def passed_record(reason: Reason, call: Call) -> RescoreRecord:
    """Return the record of a search that Elasticsearch alone answers."""
    return unscored_record(reason, call.pattern)


def unscored_record(reason: Reason | None, mapping: str | None = None) -> RescoreRecord:
    """Return the record of a search without scores: when something went wrong on our side, it has failed."""
    failed = reason in (Reason.INTERNAL_ERROR, Reason.DEADLINE)
    return RescoreRecord(outcome="failed" if failed else "passed", reason=reason, mapping=mapping)


def refused_record(record: RescoreRecord) -> RescoreRecord:
    """Return the record of a failed search that is answered with an error (`on_failure: error`)."""
    return replace(record, refused=True)


def bad_override(refused: BadRequest, call: Call) -> Rejected:
    """Return the 400 that names the wrong override."""
    record = passed_record(Reason.BAD_OVERRIDE, call)
    return Rejected(record=record, status=400, kind=BAD_OVERRIDE, message=refused.message)


def failure_message(record: RescoreRecord) -> str:
    """Say why a failed search is answered with an error (`on_failure: error`)."""
    return f"rescoring failed [{record.reason}] and the sidecar's on_failure is [error]"
