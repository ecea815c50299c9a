"""Index expressions against a real node: what they stand for decides whether a search is rescored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch

from sidecar.config.model import Config
from tests.end_to_end.conftest import Background, config, connect
from tests.end_to_end.test_msearch import ndjson
from tests.end_to_end.test_search import raw
from tests.end_to_end.versions import (  # noqa: F401 - fixtures
    articles_of_each_version,
    client_of_each_version,
    node_of_each_version,
    sidecar_before_each_version,
)

TODAY = "daily-" + datetime.now(UTC).strftime("%Y.%m.%d")
STREAM = "stories-of-foxes"
TREES: dict[str, dict[str, Any]] = {"trees": {}, "trees-hidden": {"hidden": True}, ".trees": {"hidden": True}}
TREES |= {"trees-closed": {}}
BODY = b'{"query":{"match":{"title":"fox"}}}'


@pytest.fixture(scope="module")
def url(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """A sidecar with exact names and patterns: two share their rules, one has others."""
    with connect(elasticsearch_url) as client:
        for index, alias in (("news-1", "press"), ("news-2", "press"), ("other-1", "mixed"), (TODAY, "today")):
            client.indices.delete(index=index, ignore_unavailable=True)
            client.indices.create(index=index, aliases={alias: {}})
            client.index(index=index, document={"title": "fox", "body": index}, refresh=True)
        client.indices.put_alias(index="news-1", name="mixed")
        client.indices.put_alias(index="articles", name="filtered", filter={"term": {"tag": "t1"}}, routing="0")
        stream(client)
    settings = config(elasticsearch_url, checkpoint).model_dump()
    plain: dict[str, Any] = settings["indices"]["articles"]
    settings["indices"] |= {"news-*": plain, "daily-*": plain, STREAM: plain, "special": plain | {"window_size": 7}}
    background = Background(Config.model_validate(settings))
    yield background.start()
    background.stop()
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=f"news-1,news-2,other-1,{TODAY}")


def stream(client: Elasticsearch) -> None:
    """Make a data stream of several backing indices, with an alias; the node has no call to delete it."""
    text: dict[str, Any] = {"properties": {"title": {"type": "text"}, "body": {"type": "text"}}}
    template = {"mappings": text, "settings": {"number_of_replicas": 0}}
    client.indices.put_index_template(
        name="stories", index_patterns=[STREAM], data_stream={}, priority=500, template=template
    )
    for n in range(2):
        document = {"@timestamp": "2026-01-01T00:00:00Z", "title": f"fox {n}", "body": "den"}
        client.index(index=STREAM, document=document, op_type="create", refresh=True)
        client.indices.rollover(alias=STREAM)
    client.indices.put_alias(index=STREAM, name="tales")


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ("articles", "reranked"),
        ("articles,news-1", "reranked"),
        ("news-*", "reranked"),
        ("news-1,news-2", "reranked"),
        ("news-*,-news-2", "reranked"),
        ("new*", "reranked"),
        ("*ews-1", "reranked"),
        ("press", "reranked"),
        ("pre*", "reranked"),
        ("press,articles", "reranked"),
        ("today", "reranked"),
        ("<daily-{now/d}>", "reranked"),
        ("<daily-{now/d{yyyy.MM.dd|+00:00}}>", "reranked"),
        ("articles::data", "reranked"),
        ("filtered", "reranked"),
        (STREAM, "reranked"),
        ("stories-*", "reranked"),
        (f"{STREAM}::data", "reranked"),
        ("tales", "reranked"),
        (f".ds-{STREAM}-*", "reranked"),
        (f"{STREAM},articles", "reranked"),
        ("other-1", "passed; reason=no_mapping"),
        ("other*", "passed; reason=no_mapping"),
        ("mixed", "passed; reason=mixed_mappings"),
        ("articles,other-1", "passed; reason=mixed_mappings"),
        ("articles,missing", "reranked"),
        ("nowhere", "passed; reason=no_mapping"),
    ],
)
def test_an_expression(url: str, elasticsearch_url: str, expression: str, outcome: str) -> None:
    path = f"/{quote(expression, safe='')}/_search?ignore_unavailable=true"
    status, headers, body = raw(url, path, BODY)
    assert headers["X-Rescore"].startswith(outcome)
    direct = raw(elasticsearch_url, path, BODY)
    assert (status, body.count(b'"_id"')) == (direct[0], direct[2].count(b'"_id"'))


@pytest.mark.parametrize("path", ["/_search", "/_all/_search", "/*/_search"])
def test_all_indices_have_no_common_mapping(url: str, path: str) -> None:
    assert raw(url, path, BODY)[1]["X-Rescore"] == "passed; reason=mixed_mappings"


def test_msearch_resolves_each_header(url: str) -> None:
    search = {"query": {"match": {"title": "fox"}}}
    lines = [{"index": "press"}, search, {"index": ["news-1", "other-1"]}, search, {"index": "<daily-{now/d}>"}, search]
    headers = raw(url, "/_msearch", ndjson(*lines))[1]
    assert headers["X-Rescore"] == "reranked; reranked=2; passed=1; failed=0"


@pytest.fixture(scope="module")
def hidden_url(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """A sidecar whose one mapping reaches all indices but the dotted one, which is hidden."""
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=",".join(TREES), ignore_unavailable=True)
        for index, settings in TREES.items():
            client.indices.create(index=index, settings={**settings, "number_of_replicas": 0})
            client.index(index=index, document={"title": "fox"}, refresh=True)
        client.indices.close(index="trees-closed")
    settings = config(elasticsearch_url, checkpoint).model_dump()
    rules: dict[str, Any] = settings["indices"]["articles"]
    settings["indices"] = {"trees*": rules, "trees-hidden": rules | {"window_size": 7}, "*": rules}
    background = Background(Config.model_validate(settings))
    yield background.start()
    background.stop()
    with connect(elasticsearch_url) as client:
        client.indices.delete(index=",".join(TREES))


@pytest.mark.parametrize(
    ("expression", "expand", "outcome"),
    [
        ("trees,.trees*", None, "passed; reason=mixed_mappings"),
        ("trees,.trees*", "open", "passed; reason=mixed_mappings"),
        ("trees,.trees*", "closed", "reranked; window=100"),
        ("trees,.trees*", "none", "reranked; window=100"),
        ("trees*", None, "reranked; window=100"),
        ("trees*", "hidden,open", "passed; reason=mixed_mappings"),
        ("trees*", "all", "passed; reason=mixed_mappings"),
        ("trees*,-trees-hidden", "all", "reranked; window=100"),
        ("*trees", "all", "passed; reason=mixed_mappings"),
        ("*trees", None, "reranked; window=100"),
        ("trees-h*", "all", "reranked; window=7"),
        ("trees,trees-closed", None, "reranked; window=100"),
        ("trees", "all", "reranked; window=100"),
    ],
)
def test_what_wildcards_expand_to_decides(hidden_url: str, expression: str, expand: str | None, outcome: str) -> None:
    query = "?ignore_unavailable=true" + ("" if expand is None else f"&expand_wildcards={expand}")
    assert raw(hidden_url, f"/{expression}/_search{query}", BODY)[1]["X-Rescore"].startswith(outcome)
    kind = "reranked; reranked=1" if outcome.startswith("reranked") else outcome
    search = {"query": {"match": {"title": "fox"}}}
    for path, expanded in ((f"/_msearch{query}", {}), ("/_msearch", {"expand_wildcards": expand} if expand else {})):
        lines = ndjson({"index": expression, "ignore_unavailable": True, **expanded}, search)
        assert raw(hidden_url, path, lines)[1]["X-Rescore"].startswith(kind)
    lines = ndjson(
        {"index": expression, "ignore_unavailable": True, "expand_wildcards": (expand or "open").split(",")}, search
    )
    assert raw(hidden_url, "/_msearch?expand_wildcards=all", lines)[1]["X-Rescore"].startswith(kind)


def test_an_unknown_word_for_wildcards_is_elasticsearchs_to_refuse(hidden_url: str, elasticsearch_url: str) -> None:
    for path in ("/trees*/_search?expand_wildcards=nope", "/trees/_search?expand_wildcards=nope"):
        status, headers, answer = raw(hidden_url, path, BODY)
        assert (status, answer) == raw(elasticsearch_url, path, BODY)[::2]
        assert status == 400
        assert headers["X-Rescore"].startswith("passed; reason=")


def test_an_alias_that_moves_is_followed_after_a_while(elasticsearch_url: str, url: str, checkpoint: Path) -> None:
    settings = config(elasticsearch_url, checkpoint).model_dump()
    settings["upstream"]["resolve_ttl"] = 1e-9
    background = Background(Config.model_validate(settings))
    short = background.start()
    with connect(elasticsearch_url) as client:
        client.indices.put_alias(index="articles", name="moving")
        assert raw(short, "/moving/_search", BODY)[1]["X-Rescore"].startswith("reranked")
        move = [{"remove": {"index": "articles", "alias": "moving"}}, {"add": {"index": "other-1", "alias": "moving"}}]
        client.indices.update_aliases(actions=move)
        assert raw(short, "/moving/_search", BODY)[1]["X-Rescore"] == "passed; reason=no_mapping"
    background.stop()
