"""Logs of searches, and what changed between two answers."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.evaluation.asking.journal import Answer
from sidecar.evaluation.replay.log_changes import Logged, change, log, page, summary

BODY = {"query": {"match": {"t": "x"}}}


def test_both_forms_of_lines() -> None:
    found = log(
        '{"index": "a", "body": {"size": 1}}\n'
        '\n{"index": ["a", "b-*"], "body": "{\\"size\\": 2}", "time": "now"}\n'
        '{"method": "get", "path": "/a/_search?from=20&size=5"}\n'
        '{"path": "a/_search", "body": {"from": 10}}\n'
        '{"method": "POST", "path": "/_bulk", "body": "{\\"index\\": {}}\\n{}\\n"}\n',
        "log",
    )
    assert found.searches == [
        Logged(1, "POST", "/a/_search", {"size": 1}),
        Logged(3, "POST", "/a,b-*/_search", {"size": 2}),
        Logged(4, "GET", "/a/_search?from=20&size=5", None),
        Logged(5, "POST", "/a/_search", {"from": 10}),
    ]
    assert found.others == 1
    assert [each.start for each in found.searches] == [0, 0, 20, 10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log: no search in it"),
        ('{"path": "/_bulk"}', "log: no search in it"),
        ("plain text", "log:1: expected"),
        ("[]", "log:1: expected"),
        ('{"index": "a"}', "log:1: expected"),
        ('{"index": "a", "body": {}}\n{"index": "a", "body": "{"}', "log:2: expected"),
        ('{"path": "/a/_search", "body": [1]}', "log:1: expected"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        log(text, "log")
    assert str(caught.value).startswith(message)


def answer(outcome: str, names: str, ranks: list[int] | None = None) -> Answer:
    return Answer(outcome=outcome, seconds=0.1, hits=[(name, 0.0) for name in names], ranks=ranks or [])


def test_a_reranked_page() -> None:
    found = change(
        Logged(1, "POST", "/a/_search", BODY), answer("direct", "abcd"), answer("reranked", "caxb", [3, 1, 9, 2])
    )
    assert found.overlap_at_10 == 0.75
    assert found.shift == pytest.approx((2 + 1 + 6 + 2) / 4)
    # Of the six pairs c-a, c-b and x-b are turned round.
    assert found.kendall_tau == pytest.approx(1 - 2 * 3 / 6)
    assert found.new_top


def test_a_later_page_counts_from_its_start() -> None:
    found = change(
        Logged(1, "GET", "/a/_search?from=10", None), answer("direct", "ab"), answer("reranked", "ba", [12, 11])
    )
    assert found.shift == 1.0


def test_a_page_that_was_not_reranked_has_no_rank_change() -> None:
    found = change(
        Logged(1, "POST", "/a/_search", BODY), answer("direct", "ab"), answer("passed: sorted", "ab", [1, 2])
    )
    assert (found.overlap_at_10, found.shift, found.kendall_tau, found.new_top) == (1.0, None, None, False)


def test_hits_tell_their_first_stage_ranks() -> None:
    hits: list[dict[str, Any]] = [
        {"_index": "i", "_id": "1", "_score": 2.0, "fields": {"_rescore.first_stage_rank": [7]}},
        {"_index": "j", "_id": "1", "_score": 1.0},
    ]
    assert page({"hits": {"hits": hits}}, 0) == ([("i/1", 2.0), ("j/1", 1.0)], [7, 2])
    assert page({"took": 1}, 0) == ([], [])


def test_a_summary_counts_every_search() -> None:
    found = log('{"index": "a", "body": {}}\n' * 4, "log")
    direct, reranked = answer("direct", "ab"), answer("reranked", "ba", [2, 1])
    passed = answer("passed: sorted", "ab", [1, 2])
    changes = [change(found.searches[0], direct, each) for each in (reranked, passed, passed)]
    told = summary(changes, [direct] * 3, [reranked, passed, passed], found)
    assert (told.searches, told.refused, told.compared) == (4, 1, 1)
    assert told.outcomes == {"passed: sorted": 2, "reranked": 1}
    assert (told.overlap_at_10, told.shift, told.kendall_tau, told.new_top) == (1.0, 1.0, -1.0, 1.0)
