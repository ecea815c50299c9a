"""Both lists side by side: where hits came from, and what is said about it."""

import io
from typing import Any

from rich.console import Console

from sidecar.demo.collection import Collection
from sidecar.demo.compare import Comparison, compare, search_body, server_timing, summary
from sidecar.demo.view import side_by_side

DOCS = Collection("docs", [], ("title", "text"), "title", "text", ("who?",))
HEADERS = {
    "x-rescore": "reranked; window=100; model=m",
    "server-timing": "es;dur=4.0, queue;dur=0.5, tokenize;dur=1.0, model;dur=20.5",
}


def hit(name: str) -> dict[str, Any]:
    return {"_id": name, "_source": {"title": f"T{name}", "text": "some\n  text"}}


def three(before: str = "abc", after: str = "cab", **headers: str) -> Comparison:
    return compare("who?", [hit(x) for x in before], [hit(x) for x in after], HEADERS | headers, DOCS)


def test_ranks_and_moves() -> None:
    comparison = three(before="abcd", after="dax")
    assert [(each.id, each.rank, each.before, each.moved) for each in comparison.rescored] == [
        ("d", 1, 4, 3),
        ("a", 2, 1, -1),
        ("x", 3, None, 0),
    ]
    assert [each.id for each in comparison.first_stage] == ["a", "b", "c"]
    assert comparison.rescored[0].text == "some text"


def test_server_timing() -> None:
    assert server_timing(HEADERS["server-timing"]) == {
        "es": 4.0,
        "queue": 0.5,
        "tokenize": 1.0,
        "model": 20.5,
    }
    assert server_timing("") == {}


def test_the_summary_counts_and_claims_no_quality() -> None:
    assert summary([three("abcd", "da"), three("abcd", "ab")]) == (
        "2 of 2 searches rescored: a new top hit in 1, 1 of 4 hits shown rose from below Elasticsearch's top; "
        "rescoring took 22 ms (median)"
    )


def test_the_summary_says_when_nothing_was_rescored() -> None:
    headers = {"x-rescore": "failed; reason=deadline"}
    assert summary([three(**headers)]) == "none of 1 searches was rescored (failed; reason=deadline)"


def test_the_table() -> None:
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=False).print(side_by_side(three()))
    shown = out.getvalue()
    for text in (
        "who?",
        "Ta",
        "Tc",
        "▲ #3",
        "▼ #1",
        "Elasticsearch 4 ms · queue 0 ms",
        "model 20 ms",
        "reranked",
    ):
        assert text in shown


def test_a_hit_without_source_still_shows() -> None:
    assert compare("q", [{"_id": "1"}], [{"_id": "1"}], {}, DOCS).rescored[0].title == "1"


def test_both_sides_get_the_same_search() -> None:
    assert search_body("q", DOCS, 5) == {
        "query": {"combined_fields": {"query": "q", "fields": ["title", "text"]}},
        "size": 5,
    }
