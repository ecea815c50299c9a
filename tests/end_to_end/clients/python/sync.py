"""The synchronous Python client through the sidecar: prints what it saw (see ../programs.py)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from elasticsearch import ApiError, Elasticsearch

from tests.end_to_end.clients.python import observing
from tests.end_to_end.clients.python.observing import FOX


def failure(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    try:
        call(**arguments)
    except ApiError as raised:
        return observing.error(raised)
    return {}


def documents(client: Elasticsearch, index: str) -> dict[str, Any]:
    indexed = client.index(index=index, id="1", document={"title": "one", "n": 1}, refresh=True)
    source = client.get(index=index, id="1")["_source"]
    bulk = observing.bulk(client.bulk(index=index, operations=observing.OPERATIONS, refresh=True))
    count = client.count(index=index)["count"]
    deleted = client.delete(index=index, id="1")["result"]
    return {"index": indexed["result"], "source": source, "bulk": bulk, "count": count, "delete": deleted}


def scroll(client: Elasticsearch) -> dict[str, Any]:
    answer = client.search(index="articles", query=FOX, size=120, scroll="1m")
    first, found = observing.outcome(answer), observing.ids(answer)
    while answer["hits"]["hits"]:
        answer = client.scroll(scroll_id=answer["_scroll_id"], scroll="1m")
        found += observing.ids(answer)
    cleared = client.clear_scroll(scroll_id=answer["_scroll_id"])
    return {"outcome": first, "ids": found, "cleared": cleared["succeeded"]}


def point_in_time(client: Elasticsearch) -> dict[str, Any]:
    pit = client.open_point_in_time(index="articles", keep_alive="1m")["id"]
    found = observing.page(client.search(pit={"id": pit, "keep_alive": "1m"}, query=FOX, size=10))
    closed = client.close_point_in_time(id=pit)["succeeded"]
    return {"search": found, "closed": closed, "afterwards": failure(client.search, pit={"id": pit}, query=FOX)}


def errors(client: Elasticsearch, unreachable: Elasticsearch) -> dict[str, Any]:
    override = {"rescore": {"window_size": "ten"}}
    return {
        "missing_index": failure(client.search, index="missing", query=FOX),
        "malformed_query": failure(client.search, index="articles", query={"nope": {}}),
        "bad_override": failure(client.search, index="articles", query=FOX, ext=override),
        "unreachable": failure(unreachable.search, index="articles", query=FOX),
    }


def search(client: Elasticsearch) -> dict[str, Any]:
    return observing.page(client.search(index="articles", query=FOX, size=20, ext=observing.NARROW))


def features(client: Elasticsearch) -> dict[str, Any]:
    return observing.features(client.search(index="articles", **observing.FEATURES))


def msearch(client: Elasticsearch) -> dict[str, Any]:
    return observing.searches(client.msearch(searches=observing.SEARCHES))


def attempt(part: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return part(*arguments)
    except Exception as raised:
        return {"raised": repr(raised)}


def main(url: str, unreachable_url: str, index: str) -> None:
    with Elasticsearch(url) as client, Elasticsearch(unreachable_url) as unreachable:
        seen = {
            "version": metadata.version("elasticsearch"),
            "documents": attempt(documents, client, index),
            "search": attempt(search, client),
            "features": attempt(features, client),
            "msearch": attempt(msearch, client),
            "scroll": attempt(scroll, client),
            "pit": attempt(point_in_time, client),
            "errors": attempt(errors, client, unreachable),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
