"""A window, its texts and the rest of a page come from several requests; each hit is shown once, none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring.outcome import Answered, Passed
from tests.rescoring.test_fail_open import Node, ask, names, rescorer
from tests.scorers import GivenScorer, falling

Reply = Callable[[str, dict[str, Any]], Any]


class Replying(Node):
    """A STAND-IN for Elasticsearch whose answers the test makes up: what no real node can be brought to do at will."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Reply."""
        self.targets.append(target)
        got = self.reply(target, json.loads(body or b"{}"))
        if isinstance(got, Exception):
            raise got
        status, answer = got if isinstance(got, tuple) else (200, got)
        return UpstreamAnswer(status=status, headers=[], body=json.dumps(answer).encode())


def listed(letters: str, **more: Any) -> dict[str, Any]:
    hits = [{"_index": "i", "_id": name, "_score": 1.0, "_source": {"t": name}} for name in letters]
    return {"took": 1, "timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}} | more


def cut(letters: str, asked: dict[str, Any]) -> str:
    start = asked.get("from", 0)
    return letters[start : start + asked.get("size", 10)]


async def test_a_hit_that_two_copies_of_a_shard_rank_apart_is_shown_once() -> None:
    def reply(_: str, asked: dict[str, Any]) -> Any:
        return listed(cut("abcdefg" if asked.get("size") == 4 else "abcedfg", asked))

    which, _ = rescorer(GivenScorer(falling))
    node = Replying(reply)
    answer = await ask(which, node, body=b'{"query":{"match":{"t":"x"}},"size":6}')
    assert names(answer) == ["d", "c", "b", "a", "e", "f"]
    assert len(node.targets) == 3


async def test_a_rest_without_a_shard_that_failed_loses_no_hit_of_the_other_shards() -> None:
    failed = {"_shards": {"failed": 1}}

    def reply(_: str, asked: dict[str, Any]) -> Any:  # of the other shards' hits, the window shows only some
        return listed("abcd") if asked["size"] == 4 else listed(cut("abefgh", asked), **failed)

    which, _ = rescorer(GivenScorer(falling))
    answer = await ask(which, Replying(reply), body=b'{"query":{"match":{"t":"x"}},"size":6}')
    assert names(answer) == ["d", "c", "b", "a", "e", "f"]
    assert isinstance(answer, Answered)
    assert json.loads(answer.body)["_shards"] == failed["_shards"]


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ((400, {}), Reason.WIDENED_REFUSED),
        ({}, Reason.UNREADABLE_ANSWER),
        (UpstreamError("large", reason=Reason.ANSWER_TOO_LARGE), Reason.ANSWER_TOO_LARGE),
        (UpstreamError("reset", reason=Reason.UPSTREAM_RESET), Reason.WIDENED_REFUSED),
        (UpstreamError("cut", reason=Reason.UPSTREAM_CUT), Reason.WIDENED_REFUSED),
    ],
)
async def test_without_the_rest_of_a_page_the_client_s_request_goes_on(rest: Any, reason: Reason) -> None:
    which, _ = rescorer(GivenScorer(falling))
    node = Replying(lambda _, asked: rest if asked.get("from") else listed("abcd"))
    passed = await ask(which, node, body=b'{"query":{"match":{"t":"x"}},"size":6}')
    assert isinstance(passed, Passed)
    assert passed.record.reason == reason


async def test_a_page_after_the_end_of_its_list_is_elasticsearch_s_own() -> None:
    which, _ = rescorer(GivenScorer(falling))
    body = b'{"query":{"match":{"t":"x"}},"size":1,"from":%d}'
    for start, kind, reason in ((2, Answered, None), (3, Passed, Reason.NO_HITS)):
        answer = await ask(which, Replying(lambda _, asked: listed(cut("abc", asked))), body=body % start)
        assert (type(answer), answer.record.reason) == (kind, reason)
    for start, kind in ((0, Answered), (1, Passed)):
        answer = await ask(which, Replying(lambda *_: listed("")), body=body % start)
        assert (type(answer), answer.record.reason) == (kind, Reason.NO_HITS)


async def test_a_page_beyond_max_result_window_is_elasticsearch_s_to_refuse_though_its_list_is_short() -> None:
    which, _ = rescorer(GivenScorer(falling))
    body = b'{"query":{"match":{"t":"x"}},"size":60}'
    node = Replying(lambda _, asked: (400, {}) if asked.get("from") else listed("abc"))
    passed = await ask(which, node, body=body)
    assert isinstance(passed, Passed)
    assert passed.record.reason == Reason.WIDENED_REFUSED
    failed = {"_shards": {"failed": 1}}
    node = Replying(lambda _, asked: listed("", **failed) if asked.get("from") else listed("abc"))
    answer = await ask(which, node, body=body)
    assert names(answer) == ["c", "b", "a"]
    assert isinstance(answer, Answered)
    assert json.loads(answer.body)["_shards"] == failed["_shards"]


@pytest.mark.parametrize("failing", [(500, {}), {}, UpstreamError("gone", reason=Reason.UPSTREAM_TIMEOUT)])
async def test_texts_that_cannot_be_looked_up_are_counted_and_cost_nothing(failing: Any) -> None:
    bare = listed("abcd")
    for hit in bare["hits"]["hits"]:
        del hit["_source"]
    which, _ = rescorer(GivenScorer(falling))
    node = Replying(lambda _, asked: failing if "fields" in asked else bare)
    answer = await ask(which, node, body=b'{"query":{"match":{"t":"x"}},"size":2,"_source":false}')
    assert names(answer) == ["a", "b"]
    assert isinstance(answer, Answered)
    assert answer.record.header() == "passed; reason=no_document_text; texts_not_found=4"


async def test_hits_without_text_keep_their_places_and_are_counted() -> None:
    found = listed("abcd")
    found["hits"]["hits"][1]["_source"] = {}
    which, _ = rescorer(GivenScorer(falling))
    answer = await ask(which, Replying(lambda *_: found), body=b'{"query":{"match":{"t":"x"}},"size":4}')
    assert names(answer) == ["d", "b", "c", "a"]
    assert isinstance(answer, Answered)
    assert answer.record.header() == "reranked; window=4; model=given; without_text=1"
    scores = [hit["_score"] for hit in json.loads(answer.body)["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "partial", [{"timed_out": True}, {"_shards": {"failed": 1}}, {"_clusters": {"skipped": 1, "total": 2}}]
)
async def test_a_window_of_a_part_of_the_cluster_is_not_answered(partial: dict[str, Any]) -> None:
    which, _ = rescorer(GivenScorer(falling))
    whole = listed("ab")

    def reply(_: str, asked: dict[str, Any]) -> Any:
        return listed("b", **partial) if asked["size"] == 4 else whole

    passed = await ask(which, Replying(reply))
    assert isinstance(passed, Passed)
    assert passed.record.reason == Reason.WIDENED_PARTIAL

    def asynchronous(target: str, asked: dict[str, Any]) -> Any:
        found = reply(target, asked)
        return {"is_partial": True, "is_running": False, "response": found} if "async" in target else found

    answer = await ask(which, Replying(asynchronous), target="/i/_async_search?keep_alive=1m&routing=r")
    assert isinstance(answer, Answered)
    assert json.loads(answer.body) == {"is_partial": False, "is_running": False, "response": whole}
    assert answer.record.reason == Reason.WIDENED_PARTIAL
