"""Answers with their window permuted: hits move as bytes, whatever is in them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.request import SearchRequest
from sidecar.rescoring.first_stage import FirstStage, read
from sidecar.rescoring.plan import RescorePlan, plan
from sidecar.rescoring.rewrite import apply, number
from sidecar.rescoring.scored import permutation

# Values whose spelling a decoder would lose: huge and tiny numbers, escapes, duplicate keys, white space, depth.
ODD = [
    *(
        b"1.0",
        b"1e400",
        b"-0.0",
        b"12345678901234567890123",
        b"1E+2",
        b'"\\u00e9\\ud83d\\ude00"',
        b'"\\/"',
        b'"\xc3\xa9"',
    ),
    *(b'{"a":1,"a":2}', b"[ ]", b"{ }", b'{"_score":7.0}', b'"],[}{"', b'"\\\\"', b"[" * 300 + b"]" * 300, b"null"),
]


def planned(from_: int = 0, size: int = 10, **mapping: Any) -> RescorePlan:
    body = {"query": {"match": {"t": "x"}}, "from": from_, "size": size}
    request = SearchRequest(
        method="POST",
        target="/i/_search",
        body=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    found = plan(
        request, IndexMapping.model_validate({"fields": ["t"], "window_size": 5, **mapping}), "i", {None: Fusion()}
    )
    assert isinstance(found, RescorePlan)
    return found


def hit(i: int, odd: bytes, score: bytes) -> bytes:
    return b'{"_id":"%d","odd":%s, "_score" : %s,"_source":{"t":"text %d","odd":%s}}' % (i, odd, score, i, odd)


def answer(hits: list[bytes], more: bytes = b"{}", space: bytes = b"") -> bytes:
    listed = (b"," + space).join(hits)
    return b'{"took":3,"_shards":%s,"hits":{"total":{"value":9},"max_score":1.0,"hits":[%s]},"aggregations":%s}\n' % (
        more,
        space + listed + space,
        more,
    )


def written(first: FirstStage, how: RescorePlan, logits: list[float], took_ms: int | None) -> bytes:
    """Return the answer whose window has these scores."""
    return apply(first, how, permutation(first, how, logits), took_ms=took_ms)


HITS = {
    "in the usual order": b'{"_index":"i","_id":"1","_score":%s,"_source":{"t":"x"}}',
    "with a shard and a version": b'{"_shard":"[i][0]","_id":"1","_version":3,"_score":%s,"_source":{"t":"x"}}',
    "with white space": b'\n{ "_id" : "1" ,\n "_score" :  %s ,"_source":{"t":"x"}}',
    "behind an object": b'{"_id":"1","_source":{"t":"x","_score":4.5},"_score":%s}',
    "behind null and a list": b'{"_id":null,"a":[{"_score":1}],"_score":%s,"_source":{"t":"x"}}',
    "with names in values": b'{"_id":"\\"_score\\":7,","_index":"_score","_score":%s,"_source":{"t":"x"}}',
    "with an escaped name": b'{"\\u005fid":"1","_score":%s,"_source":{"t":"x"}}',
}


@pytest.mark.parametrize("score", [b"3.5", b"1.0E-5", b"null"])
@pytest.mark.parametrize("form", HITS.values(), ids=HITS)
def test_a_hits_own_score_is_rewritten_wherever_it_stands(form: bytes, score: bytes) -> None:
    how = planned()
    got = written(read(answer([(form % score).strip()]), how), how, [0.0], took_ms=None)
    assert got == answer([(form % b"0.5").strip()]).replace(b'"max_score":1.0', b'"max_score":0.5')


@given(
    odd=st.lists(st.sampled_from(ODD), min_size=1, max_size=12),
    more=st.sampled_from(ODD),
    space=st.sampled_from([b"", b" ", b"\n  "]),
    page=st.tuples(st.integers(0, 4), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_hits_come_out_byte_for_byte(
    odd: list[bytes], more: bytes, space: bytes, page: tuple[int, int], seed: int
) -> None:
    how = planned(*page)
    hits = [hit(i, value, b"%d.5" % (20 - i)) for i, value in enumerate(odd)][: how.window.fetched]
    logits = [random.Random(seed + i).uniform(-9, 9) for i in range(min(5, len(hits)))]
    body = answer(hits, more, space)
    got = written(read(body, how), how, logits, took_ms=77)
    order = sorted(range(len(logits)), key=lambda i: -logits[i]) + list(range(len(logits), len(hits)))
    wanted = order[page[0] : sum(page)]
    start = 0
    for i in wanted:
        before, _, after = hits[i].partition(b'"_score" : %d.5' % (20 - i))
        start = got.index(before + b'"_score" : ', start)
        start = got.index(after, start)
    assert got.count(b'"_id":') == len(wanted)
    assert got.startswith(b'{"took":77,"_shards":%s,"hits":{"total":{"value":9},"max_score":' % more)
    assert got.endswith(b'},"aggregations":%s}\n' % more)


@given(st.lists(st.sampled_from(ODD), max_size=9), st.tuples(st.integers(0, 4), st.integers(1, 12)))
def test_without_scores_the_page_is_elasticsearchs(odd: list[bytes], page: tuple[int, int]) -> None:
    hits = [hit(i, value, b"1.0") for i, value in enumerate(odd)]
    how = planned(*page)
    assert apply(read(answer(hits), how), how, None, took_ms=None) == answer(hits[page[0] : sum(page)])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        *((odd, "no hits") for odd in (b"{}", b'{"error":{}}')),
        *((odd, "Expected `object`, got") for odd in (b"[]", b'{"hits":1}')),
        (b'{"hits":{"hits":[1]}}', "a hit is not an object"),
        (b"", "Input data was truncated"),
        (b'{"hits":{"hits":{}}}', "Expected `array`, got `object`"),
        (b'{"hits":{"hits":[{}]}', "Input data was truncated"),
        (b'{"hits":{},"hits":{}}', "duplicate"),
        *((odd, "JSON is malformed: invalid character") for odd in (b"\xff", b"---\nhits: 1\n")),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(body, planned())


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0 hits_coure', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = read(body, planned())
    except ValueError:
        return
    assert found.answer == body


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, 3.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_unusable_scores_are_refused(scores: list[float]) -> None:
    first = read(answer([hit(0, b"1", b"1.0"), hit(1, b"1", b"0.5")]), planned())
    with pytest.raises(ValueError, match="score"):
        written(first, planned(), scores, took_ms=1)


def test_an_answer_without_hits_stays() -> None:
    for body in (answer([]), b'{"took":1,"hits":{"total":{"value":0},"max_score":null}}'):
        assert apply(read(body, planned()), planned(), None, took_ms=None) == body


def test_a_tail_hit_without_a_score_stays_below_the_window() -> None:
    how = planned(size=7, window_size=1)
    hits = [hit(0, b"1", b"2.0"), hit(1, b"1", b"null"), b'{"_id":"2","_source":{}}']
    got = json.loads(written(read(answer(hits), how), how, [0.0], took_ms=1))["hits"]
    assert [found.get("_score") for found in got["hits"]] == [0.5, 0.0, None]
    assert got["max_score"] == 0.5


@pytest.mark.parametrize("scored", [2, 3, 4])
def test_hits_that_were_not_scored_follow_in_elasticsearchs_order(scored: int) -> None:
    how = planned(size=7, min_window=2)
    first = read(answer([hit(i, b"1", b"%d.0" % (9 - i)) for i in range(5)]), how)
    found = json.loads(written(first, how, [float(i) for i in range(scored)], took_ms=1))["hits"]
    assert [each["_id"] for each in found["hits"]] == [str(i) for i in (*reversed(range(scored)), *range(scored, 5))]
    scores = [each["_score"] for each in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert found["max_score"] == scores[0]


def test_a_hit_without_text_among_the_scored_ones_keeps_its_place() -> None:
    how = planned(min_window=2)
    hits = [hit(0, b"1", b"9.0"), b'{"_id":"1","_score":8.0,"_source":{}}', *(hit(i, b"1", b"7.0") for i in (2, 3))]
    first = read(answer(hits), how)
    assert len(permutation(first, how, [0.0, 1.0])) == 3
    found = json.loads(written(first, how, [0.0, 1.0], took_ms=1))["hits"]["hits"]
    assert [each["_id"] for each in found] == ["2", "1", "0", "3"]


def test_fewer_scores_than_must_be_are_refused() -> None:
    how = planned(min_window=3)
    first = read(answer([hit(i, b"1", b"1.0") for i in range(5)]), how)
    with pytest.raises(ValueError, match="2 scores for 5 hits"):
        permutation(first, how, [1.0, 2.0])
    with pytest.raises(ValueError, match="4 scores for 5 hits"):
        permutation(first, planned(budget=False), [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(("lowest", "kept"), [(0.8807971, 2), (0.880798, 1), (1e300, 0), (-1e300, 3)])
def test_a_score_that_was_seen_is_not_below_itself(lowest: float, kept: int) -> None:
    how = planned()
    how = replace(how, settings=replace(how.settings, min_score=lowest))
    first = read(answer([hit(i, b"1", b"1.0") for i in range(3)]), how)
    found = json.loads(written(first, how, [3.0, 2.0, 1.0], took_ms=1))["hits"]["hits"]
    assert [hit["_score"] for hit in found] == [0.95257413, 0.8807971, 0.7310586][:kept]


@pytest.mark.parametrize(
    ("score", "spelled"), [(1.0, b"1.0"), (0.5, b"0.5"), (1e-20, b"1e-20"), (1 / 3, b"0.33333334"), (None, b"null")]
)
def test_scores_are_spelled_as_single_precision(score: float | None, spelled: bytes) -> None:
    assert number(score) == spelled
