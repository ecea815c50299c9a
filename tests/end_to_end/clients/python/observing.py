"""What both Python programs say of answers and errors."""

from __future__ import annotations

from typing import Any

from elastic_transport import ApiResponse
from elasticsearch import ApiError

FOX: dict[str, Any] = {"match": {"title": "fox"}}
NARROW = {"rescore": {"window_size": 50}}
OPERATIONS: list[dict[str, Any]] = [
    {"index": {"_id": "2"}},
    {"title": "two", "n": 2},
    {"index": {"_id": "3"}},
    {"title": "three", "n": 3},
    {"create": {"_id": "1"}},
    {"title": "again", "n": 1},
]
FEATURES: dict[str, Any] = {
    "query": FOX,
    "size": 3,
    "aggregations": {"tags": {"terms": {"field": "tag"}}},
    "highlight": {"fields": {"title": {}}},
    "suggest": {"spelling": {"text": "foxx", "term": {"field": "title"}}},
    "explain": True,
    "profile": True,
    "ext": {"rescore": {"explain": True}},
}
SEARCHES: list[dict[str, Any]] = [
    {"index": "articles"},
    {"query": FOX, "size": 5},
    {"index": "missing"},
    {"query": FOX},
    {"index": "articles"},
    {"query": FOX, "size": 2},
]


def outcome(answer: ApiResponse[Any]) -> str | None:
    """Return what the sidecar said of a search."""
    return answer.meta.headers.get("X-Rescore")


def ids(answer: Any) -> list[str]:
    """Return the ids of an answer's hits, in order."""
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def page(answer: ApiResponse[Any]) -> dict[str, Any]:
    """Return what is to be seen of a search."""
    found = answer["hits"]
    hits = [{"id": hit["_id"], "score": hit["_score"], "source": hit["_source"]} for hit in found["hits"]]
    return {"outcome": outcome(answer), "total": found["total"], "max_score": found["max_score"], "hits": hits}


def features(answer: ApiResponse[Any]) -> dict[str, Any]:
    """Return what is to be seen of a search that asked for all that Elasticsearch adds to hits."""
    hits = answer["hits"]["hits"]
    return {
        "ids": ids(answer),
        "tags": {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["tags"]["buckets"]},
        "suggested": [option["text"] for option in answer["suggest"]["spelling"][0]["options"]],
        "profiled": len(answer["profile"]["shards"]),
        "highlights": [hit["highlight"]["title"] for hit in hits],
        "explained": [hit["_explanation"]["value"] for hit in hits],
        "explanations": [hit["_explanation"]["description"] for hit in hits],
        "first_stage_ranks": [hit["fields"]["_rescore.first_stage_rank"] for hit in hits],
    }


def bulk(answer: Any) -> dict[str, Any]:
    """Return what is to be seen of a bulk request."""
    items = [next(iter(item.values())) for item in answer["items"]]
    return {"errors": answer["errors"], "items": [[i["status"], i.get("error", {}).get("type")] for i in items]}


def searches(answer: ApiResponse[Any]) -> dict[str, Any]:
    """Return what is to be seen of several searches."""
    items = [
        {"status": item["status"], "type": item["error"]["type"]} if "error" in item else ids(item)
        for item in answer["responses"]
    ]
    return {"outcome": outcome(answer), "items": items}


def error(raised: ApiError) -> dict[str, Any]:
    """Return what is to be seen of an error."""
    return {"exception": type(raised).__name__, "status": raised.status_code, "type": raised.error}
