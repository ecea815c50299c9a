"""Texts that do not come with the client's own hits, asked for in searches of their own.

Asking for more `fields` in the client's search would show: `_source` is filtered in another way (keys change their
order, emptied arrays appear as `[]`), the client's own `fields` come in another order, and `top_hits` aggregations
inherit them (observed on 9.5.3 and 8.19). So the texts are looked up by id: those of `fields`, and those of
`stored_fields`, since of an index that keeps no `_source` the former gives nothing.

A look-up names exactly the documents it wants, by index, id and routing, and searches what the client's search did:
it finds no more hits than that, so no limit of an index or of request lines is met that the client's was not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from sidecar.elasticsearch.client_search import UpstreamSearch
from sidecar.elasticsearch.lenient_json import decode
from sidecar.rescoring.documents import text_of
from sidecar.rescoring.first_stage import FirstStage, decode_hit
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.values import Hit

Name = tuple[str, str, str | None]
Fields = dict[Name, dict[str, Any]]
_MAX_GROUPS = 100  # each is four clauses, and Elasticsearch takes at least 1024 of them


class _Found(msgspec.Struct):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    routing: str | None = msgspec.field(name="_routing", default=None)
    fields: dict[str, Any] = {}


class _Hits(msgspec.Struct):
    hits: list[_Found] = []


class _Answer(msgspec.Struct):
    hits: _Hits = msgspec.field(default_factory=_Hits)


def requests(first: FirstStage, plan: RescorePlan) -> list[UpstreamSearch]:
    """Return the searches for the window's texts, none where there is nothing to look up."""
    wanted = [hit.name for hit in _window(first, plan) if hit.name is not None and _lacks_text(hit, plan)]
    groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for index, id_, routing in dict.fromkeys(wanted):
        groups[index, routing].append(id_)
    listed = list(groups.items())
    batches = [dict(listed[at : at + _MAX_GROUPS]) for at in range(0, len(listed), _MAX_GROUPS)]
    return [plan.search.on_same_documents(_body(batch, plan)) for batch in batches]


def _window(first: FirstStage, plan: RescorePlan) -> Sequence[Hit]:
    return first.hits[: plan.window.size_rescored]


def _lacks_text(hit: Hit, plan: RescorePlan) -> bool:
    """Return whether a hit's text is to be looked up; its own `_source` tells all there is, unless it is filtered."""
    return bool(plan.looked_up) or not (hit.text or "_source" in decode_hit(hit.raw))


def _body(groups: Mapping[tuple[str, str | None], Sequence[str]], plan: RescorePlan) -> bytes:
    hidden = {"fields": plan.looked_up, "stored_fields": plan.looked_up}
    body = {
        "query": {"bool": {"filter": [{"bool": {"should": [_of_group(*key, ids) for key, ids in groups.items()]}}]}},
        "size": sum(map(len, groups.values())),
        "track_total_hits": False,
        "_source": False,
        **(hidden if plan.looked_up else _stored(plan)),
        **plan.own,
    }
    return msgspec.json.encode(body if plan.pit is None else body | {"pit": plan.pit})


def _stored(plan: RescorePlan) -> dict[str, Sequence[str]]:
    return {"stored_fields": [field.name for field in plan.mapping.fields]}


def _of_group(index: str, routing: str | None, ids: Sequence[str]) -> dict[str, Any]:
    """Return the clause for documents of one index and routing; an id may occur once for each routing."""
    documents: list[dict[str, Any]] = [{"term": {"_index": index}}, {"ids": {"values": ids}}]
    if routing is None:
        return {"bool": {"filter": documents, "must_not": [{"exists": {"field": "_routing"}}]}}
    return {"bool": {"filter": [*documents, {"term": {"_routing": routing}}]}}


def found(answer: bytes) -> Fields:
    """Return the fields of the documents that a look-up found.

    Raises:
        ValueError: ``answer`` is not that of a search.
    """
    return {(hit.index, hit.id, hit.routing): hit.fields for hit in decode(answer, _Answer).hits.hits}


def completed(first: FirstStage, plan: RescorePlan, fields: Fields) -> FirstStage:
    """Return the first stage with the texts that were looked up.

    A hit whose text was not available has none at all: part of a text would be judged as if it were the whole.
    """
    window = [_completed(hit, plan, fields) for hit in _window(first, plan)]
    return replace(
        first,
        hits=(*(hit for hit, _ in window), *first.hits[plan.window.size_rescored :]),
        missing_fields=sum(lacking or 0 for _, lacking in window),
        texts_not_found=sum(lacking is None for _, lacking in window),
    )


def _completed(hit: Hit, plan: RescorePlan, fields: Fields) -> tuple[Hit, int | None]:
    """Return a hit with its text, and how many mapped fields it lacks, None where it was not found."""
    value = decode_hit(hit.raw)
    if _lacks_text(hit, plan):
        known = None if hit.name is None else fields.get(hit.name)
        if known is None:
            return replace(hit, text=""), None
        own = value.get("fields")
        value["fields"] = (own if isinstance(own, dict) else {}) | known
    text, missing = text_of(value, plan.mapping, plan.highlight_tags)
    return replace(hit, text=text), missing
