"""Explanations of rescored hits."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.rescoring.explain import node, spelled, unscored_node, values, with_fields


def test_the_parent_node_keeps_elasticsearchs_bytes() -> None:
    original = b'{"value":1e400, "description":"weight","details":[]}'
    tree = node(original, 0.5, 2.0, 'mo"del', Fusion(method="rrf"))
    assert original in tree
    assert json.loads(tree) == {
        "value": 0.5,
        "description": "rescored by the sidecar, fusion [rrf], of:",
        "details": [
            {"value": 2.0, "description": 'score of cross-encoder [mo"del]', "details": []},
            json.loads(original),
        ],
    }


@pytest.mark.parametrize(
    ("among_scored", "start"), [(False, "after the rescored window"), (True, "no text to score; keeps its place")]
)
def test_a_hit_that_was_not_scored_says_why(among_scored: bool, start: str) -> None:
    tree = json.loads(unscored_node(b"{}", 0.1, among_scored=among_scored))
    assert tree["description"].startswith(start)
    assert (tree["value"], tree["details"]) == (0.1, [{}])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"_id":"1"}', b'{"_id":"1","fields":{%s}}'),
        (b'{"fields":{},"_id":"1"}', b'{"fields":{%s},"_id":"1"}'),
        (b'{"fields":{"n":[1.0] },"_id":"1"}', b'{"fields":{"n":[1.0],%s},"_id":"1"}'),
    ],
)
def test_fields_are_added(raw: bytes, expected: bytes) -> None:
    added = b'"_rescore.first_stage_rank":[3],"_rescore.first_stage_score":[1.5],"_rescore.model_score":[-2.0]'
    assert with_fields(raw, values(3, 1.5, -2.0)) == expected % added


def test_what_is_unknown_is_left_out() -> None:
    assert with_fields(b"{}", values(1, None, None)) == b'{"fields":{"_rescore.first_stage_rank":[1]}}'


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_score_reads_back_as_the_same_single(score: float) -> None:
    text = spelled(score)
    assert struct.pack("f", float(text)) == struct.pack("f", score)
    assert b"." in text or b"e" in text
