"""Search bodies: the default, templates, overrides."""

from __future__ import annotations

import pytest

from sidecar.evaluation.asking.query_bodies import defaults, filled, only_judged, plain, rescored, template

TEXT = 'the "quick" fox \\ {{query}}'


def test_the_default_searches_the_mapped_fields() -> None:
    [one] = defaults(["body"]).values()
    assert filled(one, "q1", TEXT, 10) == {"query": {"match": {"body": TEXT}}, "_source": False, "size": 10}
    several = {name: filled(body, "q1", TEXT, 10)["query"] for name, body in defaults(["title", "body"]).items()}
    assert list(several) == ["combined_fields", "most_fields", "best_fields"]
    assert several["combined_fields"] == {"combined_fields": {"query": TEXT, "fields": ["title", "body"]}}


def test_the_id_is_put_in_and_what_is_put_in_is_not_read_again() -> None:
    body = {"query": {"term": {"judged_for": "{{query_id}}"}}, "x": ["{{query}} {{query_id}}"]}
    asked = filled(body, "q{{query}}", "text {{query_id}}", 3)
    assert asked == {"query": {"term": {"judged_for": "q{{query}}"}}, "x": ["text {{query_id}} q{{query}}"], "size": 3}


def test_only_judged_documents_are_found() -> None:
    asked = only_judged({"query": {"match": {"t": "{{query}}"}}, "_source": False}, {"b", "a"})
    clauses = {"should": [{"match": {"t": "{{query}}"}}], "filter": [{"ids": {"values": ["a", "b"]}}]}
    assert asked == {"query": {"bool": clauses}, "_source": False}


def test_a_template_is_filled_wherever_the_placeholder_stands() -> None:
    body = template(
        '{"query": {"bool": {"should": [{"match": {"t": "{{query}}"}}, {"term": {"k": "x {{query}} y"}}]}},'
        ' "from": 5, "size": 3, "track_total_hits": false}',
        "b.json",
    )
    assert filled(body, "q1", TEXT, 10) == {
        "query": {"bool": {"should": [{"match": {"t": TEXT}}, {"term": {"k": f"x {TEXT} y"}}]}},
        "track_total_hits": False,
        "size": 10,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "b.json: not valid JSON"),
        ("[]", "b.json: expected a search body, a JSON object"),
        ('{"query": {}}', 'b.json: no "{{query}}" in it'),
    ],
)
def test_mistakes_in_templates(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        template(text, "b.json")
    assert str(caught.value).startswith(message)


def test_elasticsearch_itself_gets_no_rescore_section() -> None:
    body = {"size": 1, "ext": {"rescore": {"query": "q", "window_size": 5}, "other": {}}}
    assert plain(body) == {"size": 1, "ext": {"other": {}}}
    assert plain({"ext": {"rescore": {}}}) == {}
    assert rescored(body, {"window_size": 9})["ext"] == {"rescore": {"query": "q", "window_size": 9}, "other": {}}
    assert rescored({}, {"window_size": 9}) == {"ext": {"rescore": {"window_size": 9}}}
