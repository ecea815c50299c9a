"""Which searches of a mapping are rescored for their client: all, a share of them, or none (shadow).

The share is decided by a hash of a header's value, so that one user session sees one ranking and every
replica of the sidecar decides alike. A search without the header is in the control group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sidecar.config.model import IndexMapping
from sidecar.reasons import Reason

_BUCKETS = 10_000


def bucket(value: str) -> int:
    """Give the bucket, 0 to 9999, of a header value: uniform, and the same on every machine."""
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _BUCKETS


def control(mapping: IndexMapping, headers: Mapping[str, str]) -> Reason | None:
    """Give the reason why this search stays as Elasticsearch has it, or None when it is rescored."""
    if mapping.mode != "split":
        return None
    value = headers.get(mapping.split_header.lower())
    if value is not None and bucket(value) < mapping.split_percent * _BUCKETS / 100:
        return None
    return Reason.SPLIT_CONTROL
