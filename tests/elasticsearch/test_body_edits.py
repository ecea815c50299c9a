"""Edits of search bodies: our `ext.rescore` out of what Elasticsearch gets, every other byte as it came."""

from __future__ import annotations

import json

import pytest

from sidecar.elasticsearch.body_edits import of_rank_evaluation


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (
            b'{"requests":[{"id":"a","request":{"query":1.0, "ext":{"rescore":{}}},"ratings":[]}]}',
            b'{"requests":[{"id":"a","request":{"query":1.0},"ratings":[]}]}',
        ),
        (
            b'{"requests":[{"request":{"ext":{"other":1,"rescore":{}},"q":0}},{"request":{"q":1}},{"template_id":"t"}]}',
            b'{"requests":[{"request":{"ext":{"other":1},"q":0}},{"request":{"q":1}},{"template_id":"t"}]}',
        ),
        (
            b'{"templates":[{"id":"t","template":{"source":{"ext":{"rescore":1},"q":"{{x}}"}}}]}',
            b'{"templates":[{"id":"t","template":{"source":{"q":"{{x}}"}}}]}',
        ),
    ],
)
def test_a_rank_evaluation_s_searches_lose_the_override(sent: bytes, kept: bytes) -> None:
    assert of_rank_evaluation(sent) == kept
    assert of_rank_evaluation(kept) == kept


def test_a_template_s_source_may_be_a_string_and_need_not_be_json_yet() -> None:
    def body(source: str) -> bytes:
        return json.dumps({"templates": [{"id": "t", "template": {"source": source}}]}).encode()

    search = {"query": "{{x}} \ud83d"}
    sent, kept = json.dumps(search | {"ext": {"rescore": {}}}), json.dumps(search)
    assert of_rank_evaluation(body(sent)) == body(kept)
    sections = '{"size":{{n}},"ext":{"rescore":{}}}'
    assert of_rank_evaluation(body(sections)) == body(sections)


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"requests":1}', b'{"requests":[1]}', b'{"requests":[{"request":1}]}'])
def test_what_is_no_rank_evaluation_is_told(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        of_rank_evaluation(text)
