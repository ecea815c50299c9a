"""The short version of `scripts/fuzz text`, and that it would notice."""

from __future__ import annotations

from random import Random

import pytest
from elasticsearch import Elasticsearch
from hardening.explained import searched
from hardening.fuzz_text import fuzz

from sidecar.rescoring.query_text import query_string


def test_the_words_that_are_read_are_those_that_elasticsearch_searches(elasticsearch_url: str) -> None:
    with Elasticsearch(elasticsearch_url) as client:
        findings = fuzz(client, Random(7), lambda cases: cases < 300)
    assert findings.faults == []
    assert findings.words > 2000


def test_a_wrong_word_is_noticed(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_string, "texts", lambda text, *, named: iter([(None, text)]))
    with Elasticsearch(elasticsearch_url) as client:
        findings = fuzz(client, Random(7), lambda cases: cases < 100)
    assert any("invented ['" in fault for fault in findings.faults)
    assert any("missing ['" in fault for fault in findings.faults)


@pytest.mark.parametrize(
    ("explanation", "expected"),
    [
        ("title:foo +body:bar -(title:baz (body:qux)) title:den~1", {"title": {"foo", "den"}, "body": {"bar"}}),
        ('(body:"a b"~2 | (title:"a b")^2.0)~1.0 #*:*', {"title": {"a", "b"}, "body": {"a", "b"}}),
        ('MatchNoDocsQuery("failed: "x"") title:[1 TO 5] title:jet-eng*', {"title": {"jet", "eng"}}),
    ],
)
def test_explanations_are_read(explanation: str, expected: dict[str, set[str]]) -> None:
    assert searched(explanation) == expected


@pytest.mark.parametrize("explanation", ["title:a b*", "title:a) body:b", "title:", "title:Automaton {x}"])
def test_ambiguous_explanations_are_refused(explanation: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        searched(explanation)
