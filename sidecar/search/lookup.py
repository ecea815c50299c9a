"""Texts that do not come with the client's own hits, asked for in a search of their own.

Asking for more `fields` in the client's search would show: `_source` is filtered in another way (keys change their
order, emptied arrays appear as `[]`), the client's own `fields` come in another order, and `top_hits` aggregations
inherit them (seen on 9.5.3 and 8.19). So the texts are looked up by id: those of `fields`, or, where an index keeps
no `_source`, those of `stored_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec

from sidecar.search.documents import text_of
from sidecar.search.lenient_json import decode
from sidecar.search.plan import RescorePlan
from sidecar.search.response import FirstStage, decode_hit
from sidecar.search.types import Hit

_MAX_TARGET = 3500  # Elasticsearch takes request lines of 4096 bytes
_ANSWERED = "filter_path=hits.hits._index,hits.hits._id,hits.hits.fields&ignore_unavailable=true"


class _Found(msgspec.Struct):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    fields: dict[str, Any] = {}


class _Hits(msgspec.Struct):
    hits: list[_Found] = []


class _Answer(msgspec.Struct):
    hits: _Hits = msgspec.field(default_factory=_Hits)


def request(first: FirstStage, plan: RescorePlan) -> tuple[str, bytes] | None:
    """Give target and body of the search for the window's texts; None where there is nothing to look up."""
    window = first.hits[: plan.window.size_rescored]
    if not plan.looked_up and any(hit.text for hit in window):
        return None
    hits = [decode_hit(hit.raw) for hit in window]
    wanted = _wanted(hits, plan)
    ids = sorted({hit["_id"] for hit in hits if isinstance(hit.get("_id"), str)})
    indices = sorted({hit["_index"] for hit in hits if isinstance(hit.get("_index"), str)})
    target = f"/{quote(','.join(indices), safe=',')}/_search?{_ANSWERED}"
    if not wanted or not ids or not indices or len(target) > _MAX_TARGET:
        return None
    size = min(len(ids) * len(indices), 10_000)
    body = {"query": {"ids": {"values": ids}}, "size": size, "_source": False, **wanted}
    return target, msgspec.json.encode(body)


def _wanted(hits: Sequence[Mapping[str, Any]], plan: RescorePlan) -> dict[str, Sequence[str]]:
    """Give what is asked for, nothing where the hits' own `_source` tells all there is."""
    if plan.looked_up:
        return {"fields": plan.looked_up}
    if any("_source" in hit for hit in hits):
        return {}
    return {"stored_fields": [field.name for field in plan.mapping.fields]}


def completed(first: FirstStage, plan: RescorePlan, answer: bytes) -> FirstStage:
    """Give the first stage with the texts that were looked up.

    Raises:
        ValueError: ``answer`` is not that of a search.
    """
    found = decode(answer, _Answer).hits.hits
    fields = {(hit.index, hit.id): hit.fields for hit in found}
    window = [_completed(hit, plan, fields) for hit in first.hits[: plan.window.size_rescored]]
    rest = first.hits[plan.window.size_rescored :]
    missing = sum(lacking for _, lacking in window)
    return replace(first, hits=(*(hit for hit, _ in window), *rest), missing_fields=missing)


def _completed(hit: Hit, plan: RescorePlan, fields: Mapping[tuple[Any, Any], dict[str, Any]]) -> tuple[Hit, int]:
    value = decode_hit(hit.raw)
    own = value.get("fields")
    known = fields.get((value.get("_index"), value.get("_id")), {})
    value["fields"] = (own if isinstance(own, dict) else {}) | known
    text, missing = text_of(value, plan.mapping, plan.highlight_tags)
    return replace(hit, text=text), missing
