"""Errors in Elasticsearch's shape, for what the sidecar itself has to refuse."""

from __future__ import annotations

import json
from typing import Final

from sidecar.elasticsearch.dialect import ELASTICSEARCH

JSON_HEADERS: Final = (("Content-Type", "application/json"), *ELASTICSEARCH.product)


def error_body(status: int, kind: str, reason: str) -> bytes:
    """Return an error body."""
    cause = {"type": kind, "reason": reason}
    return json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}).encode()
