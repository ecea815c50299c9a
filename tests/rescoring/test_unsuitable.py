"""Searches that stay as they are: this request in, exactly this reason out."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.elasticsearch.media_types import json_answer, json_body
from sidecar.rescoring.unsuitable import unsuitable


@pytest.mark.parametrize(
    ("body", "params", "reason"),
    [
        ({}, {}, None),
        ({"sort": []}, {}, None),
        ({"sort": "_score"}, {}, None),
        ({"sort": ["_score"]}, {}, None),
        ({"sort": {"_score": "DESC"}}, {}, None),
        ({"sort": [{"_score": {"order": "desc"}}]}, {}, None),
        ({}, {"sort": "_score:desc"}, None),
        ({"sort": [{"_score": "asc"}]}, {}, "sorted"),
        ({"sort": ["_score", "n"]}, {}, "sorted"),
        ({"sort": [["_score"]]}, {}, "sorted"),
        ({"sort": {"_score": {"order": 1}}}, {}, "sorted"),
        ({"sort": "n"}, {}, "sorted"),
        ({"sort": "_score"}, {"sort": "_score"}, "sorted"),  # both are applied
        ({"sort": "_score", "pit": {"id": "p"}}, {}, "sorted"),
        ({"pit": {"id": "p"}}, {}, None),
        ({"retriever": {"standard": {"sort": ["n"]}}}, {}, "sorted"),
        ({"retriever": {"standard": {"search_after": [1]}}}, {}, "search_after"),
        ({"retriever": "x"}, {}, None),
        ({"search_after": None}, {}, "search_after"),
        ({"slice": {}}, {}, "sliced"),
        ({"sort": "n"}, {"scroll": "1m"}, "scroll"),
        ({"stored_fields": "_none_"}, {}, "stored_fields_none"),
        ({"stored_fields": ["a", "_none_"]}, {}, "stored_fields_none"),
        ({}, {"stored_fields": "_none_"}, "stored_fields_none"),
        ({"fields": "title"}, {}, "bad_parameters"),
        ({}, {"format": "cbor"}, "answer_format"),
    ],
)
def test_the_reason(body: dict[str, Any], params: dict[str, str], reason: str | None) -> None:
    found = unsuitable({}, body, params)
    assert found == reason


@pytest.mark.parametrize(
    ("accept", "format_", "json"),
    [
        (None, None, True),
        ("*/*", None, True),
        ("application/vnd.elasticsearch+json;compatible-with=9", None, True),
        ("application/yaml", None, False),
        ("application/vnd.elasticsearch+cbor", None, False),
        ("application/smile", "json", True),  # the parameter wins
        ("application/json", "YAML", False),
        ("application/yaml, application/json", None, True),  # lists are not read
    ],
)
def test_the_form_of_the_answer(accept: str | None, format_: str | None, json: bool) -> None:
    assert json_answer(accept, format_) is json


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        (None, False),
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf8"', True),
        ("application/x-ndjson", True),
        ("application/vnd.elasticsearch+json;compatible-with=9", True),
        ("application/json; charset=latin-1", False),
        ("text/plain", False),
        ("application/yaml", False),
    ],
)
def test_the_form_of_the_body(content_type: str | None, json: bool) -> None:
    assert json_body(content_type) is json
