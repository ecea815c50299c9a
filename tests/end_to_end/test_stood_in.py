"""Template and async searches, against a STAND-IN for the modules that the real node lacks (see stand_in)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import Elasticsearch

from sidecar.app import Sidecar, running
from tests.compatibility import SENT, STOOD_IN, Feature, Search
from tests.end_to_end.conftest import config
from tests.end_to_end.stand_in import StandIn, standing_in
from tests.end_to_end.test_features import assert_permuted, rows
from tests.end_to_end.test_msearch import ndjson, settled

FOX: dict[str, Any] = {"query": {"match": {"title": "fox"}}, "size": 100, "_source": ["n"]}
TEMPLATE: dict[str, Any] = {
    "source": '{"query":{"match":{"title":"{{text}}"}},"size":{{size}},"_source":["n"]}',
    "params": {"text": "fox", "size": 100},
}


@pytest.fixture
async def stand_in(elasticsearch_url: str, articles: str) -> AsyncIterator[StandIn]:
    async with standing_in(elasticsearch_url) as stand_in:
        yield stand_in


@pytest.fixture
async def sidecar(stand_in: StandIn, checkpoint: Path) -> AsyncIterator[Sidecar]:
    async with running(config(stand_in.url, checkpoint)) as sidecar:
        yield sidecar


async def post(sidecar: Sidecar, path: str, body: bytes | Any) -> tuple[int, str, Any]:
    """Return status, `X-Rescore` and the decoded answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(sidecar, "POST", path, data)


async def ask(sidecar: Sidecar, method: str, path: str, data: bytes | None = None) -> tuple[int, str, Any]:
    headers = {"Content-Type": "application/json"} if data else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sidecar.url + path, data=data, headers=headers) as answer,
    ):
        return answer.status, answer.headers.get("X-Rescore", ""), json.loads(await answer.read())


async def test_a_template_is_answered_as_the_search_it_is_rendered_to(sidecar: Sidecar, stand_in: StandIn) -> None:
    status, outcome, got = await post(sidecar, "/articles/_search/template", TEMPLATE)
    assert (status, outcome.partition(";")[0]) == (200, "reranked")
    told = [path for path in stand_in.seen if path != "/"]
    assert told[-3:-1] == ["/_render/template", "/articles/_search"]  # and its texts are looked up
    alone = (await post(sidecar, "/articles/_search", FOX))[2]
    assert settled(got) == settled(alone)
    scores = [hit["_score"] for hit in got["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)


async def test_a_stored_template_with_an_override_and_flags(sidecar: Sidecar, stand_in: StandIn) -> None:
    stand_in.templates["mine"] = json.dumps({**FOX, "explain": True, "ext": {"rescore": {"window_size": 5}}})
    _, outcome, got = await post(sidecar, "/articles/_search/template", {"id": "mine", "profile": True})
    assert outcome.startswith("reranked; window=5")
    assert "profile" in got
    assert "_explanation" not in got["hits"]["hits"][0]


async def test_a_template_that_passes_goes_on_as_it_was(sidecar: Sidecar, stand_in: StandIn) -> None:
    sort = TEMPLATE | {"source": {"query": {"match": {"title": "{{text}}"}}, "sort": ["n"]}}
    assert (await post(sidecar, "/articles/_search/template", sort))[1] == "passed; reason=sorted"
    assert stand_in.seen[-1] == "/articles/_search/template"
    with_ext = {"source": {**FOX, "sort": ["n"], "ext": {"rescore": {}}}}
    status, outcome, _ = await post(sidecar, "/articles/_search/template", with_ext)
    assert (status, outcome) == (200, "passed; reason=sorted")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/articles/_search/template", {"id": "nowhere"}, "template_failed"),
        ("/articles/_search/template?size=3", TEMPLATE, "template_parameters"),
        ("/other/_search/template", TEMPLATE, "no_mapping"),
    ],
)
async def test_templates_that_are_not_rendered_here(sidecar: Sidecar, path: str, body: Any, reason: str) -> None:
    assert (await post(sidecar, path, body))[1] == f"passed; reason={reason}"


@pytest.mark.parametrize("path", ["/articles/_search/template", "/articles/_async_search"])
async def test_a_wrong_override_is_a_400_that_names_it(sidecar: Sidecar, path: str) -> None:
    search = {**FOX, "ext": {"rescore": {"model": "nope"}}}
    body = {"source": search} if path.endswith("template") else search
    status, outcome, got = await post(sidecar, path, body)
    assert (status, outcome) == (400, "passed; reason=bad_override")
    assert got["error"]["reason"] == '[ext.rescore.model] must be one of [default], found ["nope"]'


async def test_several_templates_are_fetched_and_scored_together(sidecar: Sidecar, stand_in: StandIn) -> None:
    stripped = {"source": {**FOX, "sort": ["n"], "ext": {"rescore": {}}}}
    lines = [
        *({"index": "articles"}, TEMPLATE),
        *({"index": "articles"}, {"id": "nowhere"}),
        *({"index": "articles"}, {"source": {"query": {"match_all": {}}}}),
        *({"index": "articles"}, TEMPLATE | {"params": {"text": "lazy", "size": 100}}),
        *({"index": "articles"}, stripped),
        *({"index": "articles"}, {"source": {**FOX, "ext": {"rescore": {"model": "nope"}}}}),
    ]
    status, outcome, got = await post(sidecar, "/_msearch/template", ndjson(*lines))
    assert (status, outcome) == (200, "reranked; reranked=2; passed=4; failed=0")
    assert [item["status"] for item in got["responses"]] == [200, 404, 200, 200, 200, 400]
    several = [path for path in stand_in.seen if "_msearch" in path]
    assert several[:2] == ["/_msearch", "/_msearch/template"]
    assert set(several[2:]) == {"/_msearch"}  # texts that are looked up
    alone = (await post(sidecar, "/articles/_search", FOX))[2]
    assert settled(got["responses"][0]) == settled({**alone, "status": 200})


async def test_a_template_of_a_search_in_a_point_in_time_is_judged_by_that(
    sidecar: Sidecar, direct: Elasticsearch
) -> None:
    direct.index(index="pit-template", document={"title": "dog"}, refresh=True)
    names = ("articles", "articles,pit-template")
    pits = [direct.open_point_in_time(index=index, keep_alive="1m")["id"] for index in names]
    templates = [{"source": json.dumps({**FOX, "pit": {"id": pit}})} for pit in pits]
    outcomes = [(await post(sidecar, "/_search/template", template))[1] for template in templates]
    assert [outcome.partition("; w")[0] for outcome in outcomes] == ["reranked", "passed; reason=mixed_mappings"]
    several = ndjson({}, templates[0], {}, templates[1])
    assert (await post(sidecar, "/_msearch/template", several))[1] == "reranked; reranked=1; passed=1; failed=0"
    direct.indices.delete(index="pit-template")


async def test_several_templates_that_pass_go_on_as_they_were(sidecar: Sidecar, stand_in: StandIn) -> None:
    lines = [{"index": "articles"}, {"source": {"query": {"match_all": {}}}}, {"index": "other"}, TEMPLATE]
    assert (await post(sidecar, "/_msearch/template", ndjson(*lines)))[1] == "passed; reason=several_reasons"
    assert stand_in.seen[-1] == "/_msearch/template"


@pytest.mark.parametrize(("row", "search"), rows(STOOD_IN))
async def test_a_feature_that_the_node_lacks(sidecar: Sidecar, stand_in: StandIn, row: Feature, search: Search) -> None:
    await asyncio.to_thread(assert_permuted, sidecar.url, stand_in.url, search)


async def test_a_size_above_the_rank_window(sidecar: Sidecar) -> None:
    [(_, search)] = [(row, search) for row, search in SENT if row.outcome == "rank_window"]
    status, outcome, got = await post(sidecar, search.path, search.body)
    assert (status, outcome) == (400, "passed; reason=rank_window")
    assert got["error"]["type"] == "action_request_validation_exception"


async def test_an_async_search_that_completes_at_once_is_rescored(sidecar: Sidecar) -> None:
    status, outcome, got = await post(sidecar, "/articles/_async_search", {**FOX, "size": 10, "from": 20})
    assert (status, outcome.partition(";")[0]) == (200, "reranked")
    alone = (await post(sidecar, "/articles/_search", {**FOX, "size": 10, "from": 20}))[2]
    assert [hit["_id"] for hit in got["response"]["hits"]["hits"]] == [hit["_id"] for hit in alone["hits"]["hits"]]
    assert "id" not in got


async def test_an_async_search_is_rescored_when_it_is_complete(
    sidecar: Sidecar, stand_in: StandIn, elasticsearch_url: str
) -> None:
    stand_in.running = True
    search = {**FOX, "size": 10}
    _, outcome, got = await post(sidecar, "/articles/_async_search?wait_for_completion_timeout=0", search)
    with Elasticsearch(elasticsearch_url) as client:
        plain = client.search(index="articles", query=FOX["query"], size=10, source_includes=["n"])
    assert outcome == "passed; reason=async_running"
    assert got["response"]["hits"] == plain["hits"]
    path = f"/_async_search/{got['id']}"
    assert (await ask(sidecar, "GET", path))[1] == "passed; reason=async_running"
    stand_in.running = False
    _, outcome, got = await ask(sidecar, "GET", path)
    assert outcome.startswith("reranked; window=100")
    alone = (await post(sidecar, "/articles/_search", search))[2]
    assert [hit["_id"] for hit in got["response"]["hits"]["hits"]] == [hit["_id"] for hit in alone["hits"]["hits"]]
    _, _, filtered = await ask(sidecar, "GET", path + "?filter_path=response.hits.hits._id")
    assert list(filtered["response"]["hits"]["hits"][0]) == ["_id"]
    del stand_in.stored[got["id"]]
    assert (await ask(sidecar, "GET", path))[:2] == (404, "passed; reason=upstream_error")


async def test_an_async_search_that_was_not_submitted_here_passes(sidecar: Sidecar) -> None:
    assert (await ask(sidecar, "GET", "/_async_search/other"))[:2] == (404, "passed; reason=async_unknown")


async def test_a_node_without_these_modules_says_so_itself(elasticsearch_url: str, checkpoint: Path) -> None:
    async with running(config(elasticsearch_url, checkpoint)) as sidecar:
        status, outcome, got = await post(sidecar, "/articles/_async_search", FOX)
        assert (status, outcome) == (400, "passed; reason=widened_refused")
        assert "no handler found" in got["error"]
        status, outcome, got = await post(sidecar, "/articles/_search/template", TEMPLATE)
        assert (status, outcome) == (400, "passed; reason=template_failed")


async def test_templates_on_unmapped_indices_lose_the_override(sidecar: Sidecar, stand_in: StandIn) -> None:
    search = {**FOX, "ext": {"rescore": {}}}
    stand_in.templates["mine"] = json.dumps(search)
    for body in ({"source": search}, {"source": json.dumps(search)}, {"id": "mine"}):
        status, outcome, got = await post(sidecar, "/nowhere*/_search/template", body)
        assert (status, outcome, got["hits"]["hits"]) == (200, "passed; reason=no_mapping", [])
        lines = [{"index": "nowhere*"}, body, {"index": "articles"}, TEMPLATE]
        status, outcome, got = await post(sidecar, "/_msearch/template", ndjson(*lines))
        assert (status, outcome) == (200, "reranked; reranked=1; passed=1; failed=0")
        assert [item["status"] for item in got["responses"]] == [200, 200]
    assert (await post(sidecar, "/nowhere*/_search/template", TEMPLATE))[1] == "passed; reason=no_mapping"
    assert stand_in.seen[-1] == "/nowhere*/_search/template"
    stand_in.templates["plain"] = json.dumps(FOX)
    assert (await post(sidecar, "/nowhere*/_search/template", {"id": "plain"}))[1] == "passed; reason=no_mapping"
    assert stand_in.seen[-1] == "/nowhere*/_search/template"


async def test_stored_templates_lose_the_override_where_nothing_is_mapped(stand_in: StandIn, checkpoint: Path) -> None:
    stand_in.templates["mine"] = json.dumps({**FOX, "ext": {"rescore": {}}})
    nothing = config(stand_in.url, checkpoint).model_copy(update={"indices": {}})
    async with running(nothing) as sidecar:
        status, outcome, got = await post(sidecar, "/articles/_search/template", {"id": "mine"})
        assert (status, outcome, got["hits"]["total"]["value"] > 0) == (200, "passed; reason=no_mapping", True)
        status, _, got = await post(sidecar, "/articles/_msearch/template", ndjson({}, {"id": "mine"}))
        assert (status, got["responses"][0]["status"]) == (200, 200)


async def test_rank_evaluation_judges_elasticsearch_s_own_ranking_without_the_override(
    sidecar: Sidecar, stand_in: StandIn
) -> None:
    search = {"query": FOX["query"], "ext": {"rescore": {"window_size": 5}}}
    evaluation = {
        "requests": [
            {"id": "searched", "request": search, "ratings": []},
            {"id": "made", "template_id": "t", "params": {"text": "fox"}, "ratings": []},
        ],
        "templates": [{"id": "t", "template": {"source": json.dumps(search).replace("fox", "{{text}}")}}],
        "metric": {"precision": {"k": 5}},
    }
    status, outcome, got = await post(sidecar, "/articles/_rank_eval", evaluation)
    assert (status, outcome, got["failures"]) == (200, "passed; reason=rank_eval", {})
    assert got["details"]["searched"] == got["details"]["made"] != []
