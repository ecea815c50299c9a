"""What the rescorer gives back to the proxy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.events import RescoreRecord
from sidecar.search.dialect import ELASTICSEARCH
from sidecar.upstream_types import UpstreamAnswer

FAILURE: Final = "rescoring_exception"
JSON_HEADERS: Final = (("Content-Type", "application/json"), *ELASTICSEARCH.product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer for the client. ``body`` has no content coding; ``record`` gives the added headers."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    record: RescoreRecord


def from_upstream(upstream: UpstreamAnswer, record: RescoreRecord, body: bytes | None = None) -> Answer:
    """Give Elasticsearch's answer, its body replaced where one is given."""
    return Answer(
        status=upstream.status,
        headers=upstream.headers,
        body=upstream.body if body is None else body,
        record=record,
    )


def elasticsearch_error(status: int, kind: str, reason: str) -> bytes:
    """Give an error body in Elasticsearch's shape."""
    cause = {"type": kind, "reason": reason}
    return json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}).encode()


def failure_reason(record: RescoreRecord) -> str:
    """Say why a failed search is answered with an error."""
    return f"rescoring failed [{record.reason}] and the sidecar's on_failure is [error]"


def error(status: int, kind: str, reason: str, record: RescoreRecord) -> Answer:
    """Give an error in Elasticsearch's shape."""
    return Answer(status=status, headers=JSON_HEADERS, body=elasticsearch_error(status, kind, reason), record=record)
