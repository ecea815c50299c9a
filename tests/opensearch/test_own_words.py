"""What OpenSearch calls otherwise than Elasticsearch, or has alone, against the real node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.opensearch.conftest import ask, create, fill

FOX: dict[str, Any] = {"query": {"match": {"title": "fox"}}}


def page(from_: int, size: int) -> dict[str, Any]:
    return {**FOX, "from": from_, "size": size, "_source": ["n"]}


def test_a_point_in_time_is_known_by_its_indices(url: str, node: str) -> None:
    opened = ask(url, "/articles/_search/point_in_time?keep_alive=1m")
    assert opened.outcome == "passed; reason=pit_open"
    pit = {"pit": {"id": opened.value["pit_id"], "keep_alive": "1m"}}
    alone = ask(url, "/articles/_search", page(0, 100)).ids
    assert [name for at in (0, 40, 80) for name in ask(url, "/_search", page(at, 40) | pit).ids][:100] == alone
    fill(node, "strange")
    mixed = ask(node, "/articles,strange/_search/point_in_time?keep_alive=1m").value["pit_id"]
    answer = ask(url, "/_search", page(0, 10) | {"pit": {"id": mixed}})
    assert (answer.status, answer.outcome) == (200, "passed; reason=mixed_mappings")
    assert ask(url, "/strange/_search/point_in_time?keep_alive=1m").outcome == "passed; reason=no_mapping"


def test_a_data_stream_is_known_by_its_name(url: str, node: str) -> None:
    template = {"index_patterns": ["events"], "data_stream": {}, "priority": 100}
    assert ask(node, "/_index_template/events", template, "PUT").status == 200
    lines: list[Any] = []
    for i in range(20):
        lines += [{"create": {}}, {"@timestamp": "2026-01-01", "title": f"fox {i}"}]
    assert ask(node, "/events/_bulk?refresh=true", lines).value["errors"] is False
    named = ask(url, "/events/_search", FOX)
    assert named.outcome.startswith("reranked")
    assert named.value["hits"]["hits"][0]["_index"] == ".ds-events-000001"
    pit = ask(url, "/events/_search/point_in_time?keep_alive=1m")
    assert ask(url, "/_search", FOX | {"pit": {"id": pit.value["pit_id"]}}).outcome.startswith("reranked")


@pytest.fixture
def pipeline(node: str) -> str:
    """The name of a search pipeline. Its processors are a module that is not published, so it has none."""
    made = ask(node, "/_search/pipeline/mine", {"request_processors": [], "response_processors": []}, "PUT")
    assert made.status == 200, made.value
    return "mine"


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("?search_pipeline=mine", {}),
        ("", {"search_pipeline": "mine"}),
        ("", {"search_pipeline": {"request_processors": [], "response_processors": []}}),
    ],
)
def test_a_search_that_names_a_pipeline_passes(
    url: str, node: str, pipeline: str, parameters: str, body: dict[str, Any]
) -> None:
    answer = ask(url, f"/articles/_search{parameters}", FOX | body)
    assert (answer.status, answer.outcome) == (200, "passed; reason=search_pipeline")
    assert answer.ids == ask(node, "/articles/_search", FOX).ids
    several = ask(url, "/_msearch", [{"index": "articles"}, FOX | body, {"index": "articles"}, FOX])
    if body:
        assert several.outcome == "reranked; reranked=1; passed=1; failed=0"


def test_an_index_with_a_pipeline_of_its_own_passes(url: str, node: str, pipeline: str) -> None:
    fill(node, "piped", **{"index.search.default_pipeline": pipeline})
    assert ask(url, "/piped/_search", FOX).outcome == "passed; reason=search_pipeline"
    without = ask(url, "/piped/_search?search_pipeline=_none", FOX)
    assert without.outcome.startswith("reranked")
    assert ask(url, "/articles,piped/_search", FOX).outcome == "passed; reason=search_pipeline"


def test_searches_of_our_own_go_through_no_pipeline(url: str, node: str) -> None:
    """The pipeline does not exist, so each search that goes through it is refused; the look-ups of texts must not."""
    fill(node, "opted-in", **{"index.search.default_pipeline": "nowhere"})
    assert ask(node, "/opted-in/_search", FOX).status == 400
    hidden = FOX | {"_source": ["n"], "size": 100}
    for path, body in (
        ("/opted-in/_search?search_pipeline=_none", hidden),
        ("/_msearch", [{"index": "opted-in"}, hidden | {"search_pipeline": "_none"}]),
    ):
        answer = ask(url, path, body)
        assert answer.outcome.startswith("reranked"), answer
        assert "texts" not in answer.outcome
    ask(node, "/opted-in", method="DELETE")


def test_opting_in_rescores_a_search_through_a_pipeline(url: str, node: str, pipeline: str) -> None:
    fill(node, "opted-in", **{"index.search.default_pipeline": pipeline})
    assert ask(url, "/opted-in/_search", FOX).outcome.startswith("reranked")
    assert ask(url, "/opted-in/_search?search_pipeline=mine", FOX).outcome.startswith("reranked")
    ask(node, "/opted-in", method="DELETE")


@pytest.mark.parametrize("flag", [True, "true"])
def test_the_flags_of_a_template_count_as_the_node_reads_them(url: str, node: str, flag: Any) -> None:
    template = {"source": {**FOX, "size": 3}, "explain": flag, "profile": flag}
    answer = ask(url, "/articles/_search/template", template)
    assert answer.outcome.startswith("reranked")
    assert "profile" in answer.value
    assert all("_explanation" in hit for hit in answer.value["hits"]["hits"])
    assert answer.value.keys() == ask(node, "/articles/_search/template", template).value.keys()


STORED = {"script": {"lang": "mustache", "source": '{"query":{"match":{"title":"{{text}}"}},"size":"{{size}}"}'}}


def test_a_template_is_answered_as_the_search_it_stands_for(url: str, node: str) -> None:
    ask(node, "/_scripts/stored", STORED, "PUT")
    params = {"text": "fox", "size": 100}
    alone = ask(url, "/articles/_search", {**FOX, "size": 100})
    inline = {"source": STORED["script"]["source"], "params": params}
    for template in ({"id": "stored", "params": params}, inline):
        answer = ask(url, "/articles/_search/template", template)
        assert answer.outcome.startswith("reranked; window=100")
        assert answer.ids == alone.ids


BROKEN = [
    {"id": "nowhere"},
    {"source": '{"query": {{#toJson}}nothing'},
    {"source": '{"query": '},
    {"source": {"query": {"nope": {}}}},
    {"source": {"query": {"match": {"title": "{{text}}"}}, "size": "{{size}}"}, "params": {"text": "fox", "size": "x"}},
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_template_that_fails_does_not_keep_others_from_being_rescored(url: str, node: str, broken: Any) -> None:
    good = {"source": {**FOX, "size": 10}}
    lines = [{"index": "articles"}, good, {"index": "articles"}, broken, {"index": "articles"}, good]
    direct = ask(node, "/_msearch/template", lines)
    answer = ask(url, "/_msearch/template", lines)
    assert answer.status == direct.status
    if direct.status != 200:
        assert answer.value == direct.value
        return
    assert answer.outcome == "reranked; reranked=2; passed=1; failed=0"
    assert [item["status"] for item in answer.value["responses"]] == [
        item["status"] for item in direct.value["responses"]
    ]
    assert answer.value["responses"][1].get("error") == direct.value["responses"][1].get("error")
    alone = ask(url, "/articles/_search/template", broken)
    assert alone.status == ask(node, "/articles/_search/template", broken).status


def test_children_and_their_inner_hits(url: str, node: str) -> None:
    relations = {"j": {"type": "join", "relations": {"question": "answer"}}, "t": {"type": "text"}}
    ask(node, "/joined", method="DELETE")
    create(node, "joined", {"properties": relations})
    lines: list[Any] = []
    for i in range(30):
        lines += [{"index": {"_id": f"q{i}"}}, {"t": f"how to fly {i}", "j": "question"}]
        child = {"t": f"use wings and {i} feathers", "j": {"name": "answer", "parent": f"q{i}"}}
        lines += [{"index": {"_id": f"a{i}", "routing": f"q{i}"}}, child]
    assert ask(node, "/joined/_bulk?refresh=true", lines).value["errors"] is False
    inner = {"match": {"t": "wings feathers"}}
    search = {"query": {"has_child": {"type": "answer", "score_mode": "max", "query": inner, "inner_hits": {}}}}
    answer, direct = (
        ask(url, "/joined/_search", {**search, "size": 30}),
        ask(node, "/joined/_search", {**search, "size": 30}),
    )
    assert answer.outcome.startswith("reranked")
    assert sorted(answer.ids) == sorted(direct.ids)
    by_id = {hit["_id"]: hit for hit in direct.value["hits"]["hits"]}
    assert all(hit["inner_hits"] == by_id[hit["_id"]]["inner_hits"] for hit in answer.value["hits"]["hits"])


def test_a_percolated_document_passes(url: str, node: str) -> None:
    ask(node, "/queries", method="DELETE")
    create(node, "queries", {"properties": {"q": {"type": "percolator"}, "title": {"type": "text"}}})
    stored = {"q": {"match": {"title": "fox"}}, "title": "the fox"}
    ask(node, "/queries/_doc/1?refresh=true", stored, "PUT")
    search = {"query": {"percolate": {"field": "q", "document": {"title": "a quick fox"}}}}
    answer = ask(url, "/queries/_search", search)
    assert (answer.outcome, answer.ids) == ("passed; reason=no_query_text", ["1"])


@pytest.mark.parametrize("path", ["_reindex", "_update_by_query", "_delete_by_query", "_rank_eval"])
def test_what_reads_searches_but_answers_none_passes(url: str, node: str, path: str) -> None:
    fill(node, "copies")
    bodies: dict[str, Any] = {
        "_reindex": {"source": {"index": "copies", **FOX}, "dest": {"index": "copied"}},
        "_rank_eval": {
            "requests": [{"id": "a", "request": FOX, "ratings": [{"_index": "copies", "_id": "3", "rating": 1}]}],
            "metric": {"dcg": {"k": 10}},
        },
    }
    target = "/_reindex?refresh=true" if path == "_reindex" else f"/copies/{path}"
    answer = ask(url, target, bodies.get(path, FOX))
    assert (answer.status, answer.outcome) == (200, "passed; reason=rank_eval" if path == "_rank_eval" else "")
    assert not answer.value.get("failures")


def test_painless_scripts_score_and_fill_fields(url: str, node: str) -> None:
    script = {"source": "_score * doc['n'].value"}
    search = {
        "query": {"script_score": {"query": FOX["query"], "script": script}},
        "script_fields": {"twice": {"script": "doc['n'].value * 2"}},
        "size": 20,
    }
    answer, direct = ask(url, "/articles/_search", search), ask(node, "/articles/_search", {**search, "size": 100})
    assert answer.outcome.startswith("reranked")
    fields = {hit["_id"]: hit["fields"] for hit in direct.value["hits"]["hits"]}
    assert all(hit["fields"] == fields[hit["_id"]] for hit in answer.value["hits"]["hits"])
    derived = {"derived": {"d": {"type": "keyword", "script": {"source": "emit(doc['tag'].value)"}}}, "fields": ["d"]}
    assert ask(url, "/articles/_search", FOX | derived).outcome.startswith("reranked")
