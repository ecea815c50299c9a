"""A client that sends `ext.rescore` with every search: Elasticsearch never sees it, whatever becomes of the search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.conftest import Background, config, connect
from tests.end_to_end.test_msearch import ndjson
from tests.end_to_end.test_search import raw

OTHER = "bystanders"
EXT = {"ext": {"rescore": {"window_size": 20}}}
FOX: dict[str, Any] = {"query": {"match": {"title": "fox"}}, "size": 3}


@pytest.fixture(scope="module", params=["mapped", "nothing mapped"])
def url(request: pytest.FixtureRequest, elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """A sidecar beside an index that it does not rescore; and one that rescores nothing at all."""
    with connect(elasticsearch_url) as client:
        client.index(index=OTHER, id="1", document={"title": "fox", "n": 1}, refresh=True)
    settings = config(elasticsearch_url, checkpoint)
    background = Background(settings if request.param == "mapped" else settings.model_copy(update={"indices": {}}))
    yield background.start()
    background.stop()
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=OTHER)


def told(url: str, path: str, body: bytes | None) -> dict[str, Any]:
    status, headers, answer = raw(url, path, body)
    assert (status, "X-Rescore" in headers) == (200, True), (path, answer)
    found: dict[str, Any] = json.loads(answer)
    assert "error" not in str(found)[:5000], (path, answer)
    return found


MORE: list[dict[str, Any]] = [
    {},
    {"size": 0},
    {"sort": ["n"]},
    {"from": 500},
    {"query": {"match_all": {}}},
    {"slice": {"id": 0, "max": 2}, "sort": ["_doc"]},
    {"stored_fields": "_none_"},
]
PATHS = [f"/{OTHER}", f"/articles,{OTHER}", "/_all", "/*", "", f"/{OTHER}*,-articles", "/articles"]


@pytest.mark.parametrize("path", PATHS)
def test_the_override_reaches_elasticsearch_on_no_path_and_for_no_reason_of_passing(url: str, path: str) -> None:
    for more in MORE:
        if "slice" in more:
            told(url, f"{path}/_search?scroll=1m", json.dumps(FOX | more | EXT).encode())
            continue
        body = json.dumps(FOX | more | EXT).encode()
        told(url, f"{path}/_search", body)
        told(url, f"{path}/_msearch", ndjson({}, FOX | more | EXT, {"index": OTHER}, FOX | EXT, {}, FOX))
        source = f"source={quote(body)}&source_content_type=application/json"
        told(url, f"{path}/_search?{source}", None)
    told(url, f"{path}/_search", json.dumps(FOX | EXT).replace("rescore", "\\u0072escore").encode())


@pytest.mark.parametrize("path", [path for path in PATHS if path])
def test_a_point_in_time_with_the_override(url: str, direct: Elasticsearch, path: str) -> None:
    names = path.strip("/").replace("_all", "*")
    pit = direct.open_point_in_time(index=names, keep_alive="1m")["id"]
    told(url, "/_search", json.dumps(FOX | EXT | {"pit": {"id": pit}}).encode())
    told(url, "/_msearch", ndjson({}, FOX | EXT | {"pit": {"id": pit}}))


def test_a_body_that_is_too_large_to_be_read_loses_the_override_as_it_passes(url: str, elasticsearch_url: str) -> None:
    terms = {"terms": {"title": [f"{i:050d}" for i in range(50_000)]}}
    large = FOX | {"query": {"bool": {"must": [FOX["query"]], "should": [terms]}}}
    found = told(url, f"/{OTHER}/_search", json.dumps(EXT | large).encode())
    direct = json.loads(raw(elasticsearch_url, f"/{OTHER}/_search", json.dumps(large).encode())[2])
    assert found["hits"] == direct["hits"]
    several = ndjson({"index": OTHER}, large | EXT, {}, FOX | EXT)
    assert [item["status"] for item in told(url, f"/{OTHER}/_msearch", several)["responses"]] == [200, 200]


@pytest.mark.parametrize("endpoint", ["_fleet/_fleet_search", "_async_search", "_search/template"])
def test_endpoints_that_this_node_lacks_refuse_nothing_else(url: str, elasticsearch_url: str, endpoint: str) -> None:
    body = json.dumps({"source": FOX | EXT} if endpoint.endswith("template") else FOX | EXT).encode()
    plain = json.dumps({"source": FOX} if endpoint.endswith("template") else FOX).encode()
    path = f"/{OTHER}/{endpoint}"
    found, direct = raw(url, path, body), raw(elasticsearch_url, path, plain)
    assert (found[0], "rescore" in found[2].decode()) == (direct[0], False)
