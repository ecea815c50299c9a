"""The official clients of four languages through the sidecar, checked against the bytes on the wire."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.clients.programs import PROGRAMS, observe
from tests.end_to_end.conftest import Background, config
from tests.end_to_end.test_search import raw

pytestmark = pytest.mark.timeout(1200)  # a new machine fetches and compiles the clients first

FOX: dict[str, Any] = {"match": {"title": "fox"}}
ERRORS = {
    "missing_index": (404, "index_not_found_exception"),
    "malformed_query": (400, "parsing_exception"),
    "bad_override": (400, "illegal_argument_exception"),
    "unreachable": (502, "upstream_unreachable"),
}
PYTHON = dict(zip(ERRORS, ["NotFoundError", "BadRequestError", "BadRequestError", "ApiError"], strict=True))
EXCEPTIONS = {
    "python": PYTHON,
    "python-async": PYTHON,
    "javascript": dict.fromkeys(ERRORS, "ResponseError"),
    "java": dict.fromkeys(ERRORS, "ElasticsearchException") | {"unreachable": "ResponseException"},
    "go": dict.fromkeys(ERRORS, "ElasticsearchError"),
}


class Seen(dict[str, Any]):
    """What a client saw, part by part; asking for a part that ended in an exception fails with it."""

    def __getitem__(self, part: str) -> Any:
        value = super().__getitem__(part)
        if "raised" in value:
            pytest.fail(f"{part}: {value['raised']}", pytrace=False)
        return value


@pytest.fixture(scope="module")
def unreachable_url(checkpoint: Path) -> Iterator[str]:
    """The URL of a sidecar whose Elasticsearch refuses connections: its port is bound, and nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        background = Background(config(f"http://127.0.0.1:{bound.getsockname()[1]}", checkpoint))
        yield background.start()
        background.stop()


@pytest.fixture(scope="module", params=PROGRAMS)
def client(request: pytest.FixtureRequest) -> str:
    """The name of a client."""
    return str(request.param)


@pytest.fixture(scope="module")
def seen(client: str, elasticsearch_url: str, sidecar_url: str, unreachable_url: str) -> Iterator[Seen]:
    """What the client saw."""
    index = f"client-{client}"
    with Elasticsearch(elasticsearch_url) as direct:
        direct.indices.delete(index=index, ignore_unavailable=True)
        yield Seen(observe(PROGRAMS[client], sidecar_url, unreachable_url, index))
        direct.indices.delete(index=index, ignore_unavailable=True)


def hits_of(url: str, **body: Any) -> list[dict[str, Any]]:
    """Return the hits of a search for `fox`, as they are on the wire."""
    status, _, answer = raw(url, "/articles/_search", json.dumps({"query": FOX, **body}).encode())
    assert status == 200
    hits: list[dict[str, Any]] = json.loads(answer)["hits"]["hits"]
    return hits


def ids_of(url: str, **body: Any) -> list[str]:
    return [hit["_id"] for hit in hits_of(url, **body)]


def assert_page(page: dict[str, Any], wire: list[dict[str, Any]], unscored: list[str]) -> None:
    """Check that typed hits are those on the wire, and those in another order than without the sidecar."""
    assert [(hit["id"], hit["source"]) for hit in page["hits"]] == [(hit["_id"], hit["_source"]) for hit in wire]
    assert [hit["score"] for hit in page["hits"]] == pytest.approx([hit["_score"] for hit in wire], rel=1e-6)
    assert page["max_score"] == page["hits"][0]["score"]
    assert page["total"] == {"value": 300, "relation": "eq"}
    assert [hit["id"] for hit in page["hits"]] != unscored


def test_the_versions_are_documented(client: str, seen: Seen) -> None:
    page = Path(__file__).parents[3] / "docs" / "elasticsearch-compatibility.md"
    assert f" {seen['version']} " in page.read_text(), f"{client} {seen['version']} is not documented"


def test_documents_are_written_counted_and_deleted(seen: Seen) -> None:
    assert seen["documents"] == {
        "index": "created",
        "source": {"title": "one", "n": 1},
        "bulk": {"errors": True, "items": [[201, None], [201, None], [409, "version_conflict_engine_exception"]]},
        "count": 3,
        "delete": "deleted",
    }


def test_a_search_gives_typed_hits_in_rescored_order(seen: Seen, sidecar_url: str, elasticsearch_url: str) -> None:
    assert seen["search"]["outcome"].startswith("reranked; window=50; model=")
    wire = hits_of(sidecar_url, size=20, ext={"rescore": {"window_size": 50}})
    assert_page(seen["search"], wire, ids_of(elasticsearch_url, size=20))


def test_what_elasticsearch_adds_to_a_search_is_readable(seen: Seen, sidecar_url: str, elasticsearch_url: str) -> None:
    features, wire = seen["features"], hits_of(sidecar_url, size=3)
    first_stage = ids_of(elasticsearch_url, size=100)
    assert features["ids"] == [hit["_id"] for hit in wire]
    assert features["tags"] == {"t0": 43, "t1": 43, "t2": 43, "t3": 43, "t4": 43, "t5": 43, "t6": 42}
    assert (features["suggested"], features["profiled"]) == (["fox"], 1)
    assert features["highlights"] == [[hit["_source"]["title"].replace("fox", "<em>fox</em>")] for hit in wire]
    assert features["explained"] == pytest.approx([hit["_score"] for hit in wire], rel=1e-6)
    assert features["explanations"] == ["rescored by the sidecar, fusion [replace], of:"] * 3
    assert features["first_stage_ranks"] == [[first_stage.index(hit["_id"]) + 1] for hit in wire]


def test_several_searches_one_of_them_failing(seen: Seen, sidecar_url: str) -> None:
    five = ids_of(sidecar_url, size=5)
    assert seen["msearch"] == {
        "outcome": "reranked; reranked=2; passed=1; failed=0",
        "items": [five, {"status": 404, "type": "index_not_found_exception"}, five[:2]],
    }


def test_a_scroll_reads_everything_in_elasticsearchs_order(seen: Seen, elasticsearch_url: str) -> None:
    expected = {"outcome": "passed; reason=scroll", "ids": ids_of(elasticsearch_url, size=300), "cleared": True}
    assert seen["scroll"] == expected


def test_a_point_in_time_is_opened_searched_and_closed(
    client: str, seen: Seen, sidecar_url: str, elasticsearch_url: str
) -> None:
    pit = seen["pit"]
    assert pit["search"]["outcome"].startswith("reranked; window=100; model=")
    assert_page(pit["search"], hits_of(sidecar_url, size=10), ids_of(elasticsearch_url, size=10))
    gone = {"exception": EXCEPTIONS[client]["missing_index"], "status": 404, "type": "search_phase_execution_exception"}
    assert (pit["closed"], pit["afterwards"]) == (True, gone)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_the_clients_own_exception(client: str, seen: Seen, error: str) -> None:
    status, kind = ERRORS[error]
    assert seen["errors"][error] == {"exception": EXCEPTIONS[client][error], "status": status, "type": kind}
