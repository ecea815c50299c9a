"""What explains a rescored hit: `ext.rescore.explain` in `fields`, and a parent node in `_explanation`."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from sidecar.config.fusion import Fusion
from sidecar.elasticsearch.json_bytes import insertion, members, splice, whole

RANK = "_rescore.first_stage_rank"
FIRST_SCORE = "_rescore.first_stage_score"
MODEL_SCORE = "_rescore.model_score"
_AFTER_CUT = 400
"""Characters that are shown of what the model did not read any more."""


def single(value: float) -> float:
    """Round to single precision, which scores have in Elasticsearch."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def spelled(score: float) -> bytes:
    """Return the shortest decimal that reads back as the same single-precision number, with a point."""
    return str(np.float32(single(score))).encode()


def values(rank: int, first: float | None, logit: float | None) -> dict[str, Any]:
    """Return what `explain` adds to a hit."""
    return {RANK: rank, FIRST_SCORE: first, MODEL_SCORE: logit}


def texts(query: str, read_query: str, text: str, read: int | None) -> dict[str, Any]:
    """Return what `explain: text` adds to a scored hit: query and text, and how much the model read of each."""
    return {
        "_rescore.query": query[: len(read_query) + _AFTER_CUT],
        "_rescore.query_read": len(read_query),
        "_rescore.text": text if read is None else text[: read + _AFTER_CUT],
        "_rescore.text_read": read,
        "_rescore.text_length": len(text),
    }


def with_fields(raw: bytes, values: Mapping[str, Any]) -> bytes:
    """Add values to a hit's `fields`, as arrays like all there."""
    added = {name: [value] for name, value in values.items() if value is not None}
    span = whole(raw)
    found = members(raw, span)
    if "fields" not in found:
        return splice(raw, [insertion(raw, span, found, "fields", msgspec.json.encode(added))])
    encoded = msgspec.json.encode(added)[1:-1]
    inner = found["fields"]
    separator = b"," if members(raw, inner) else b""
    return raw[: inner.end - 1].rstrip() + separator + encoded + raw[inner.end - 1 :]


def node(original: bytes, score: float | None, logit: float, model: str, fusion: Fusion) -> bytes:
    """Put Elasticsearch's explanation under a node that says what the rescoring did, in its own format."""
    description = f"rescored by the sidecar, fusion [{fusion.method}], of:"
    return _parent(description, score, [_leaf(logit, f"score of cross-encoder [{model}]"), original])


def unscored_node(original: bytes, score: float | None, *, among_scored: bool) -> bytes:
    """Put Elasticsearch's explanation under a node that says why the model gave no score."""
    description = "after the rescored window; first-stage score mapped below it, of:"
    if among_scored:
        description = "no text to score; keeps its place, with the score of the hit above it, of:"
    return _parent(description, score, [original])


def _parent(description: str, score: float | None, details: Sequence[bytes]) -> bytes:
    head = b'{"value":' + spelled(score or 0.0) + b',"description":' + msgspec.json.encode(description)
    return head + b',"details":[' + b",".join(details) + b"]}"


def _leaf(value: float, description: str) -> bytes:
    return b'{"value":' + spelled(value) + b',"description":' + msgspec.json.encode(description) + b',"details":[]}'
