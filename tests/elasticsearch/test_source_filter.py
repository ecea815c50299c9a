"""Which fields' values a request makes Elasticsearch send: this body and these parameters in, these fields out."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.elasticsearch.source_filter import source_filter

FIELDS = ("title", "body", "author.name", "author.born")


@pytest.mark.parametrize(
    ("body", "params", "shown"),
    [
        ({}, {}, FIELDS),
        ({"_source": True}, {}, FIELDS),
        ({"_source": False}, {}, ()),
        ({"_source": "title"}, {}, ("title",)),
        ({"_source": "title,body"}, {}, ()),  # in bodies a comma is part of the name
        ({"_source": ["title", "author.*"]}, {}, ("title", "author.name", "author.born")),
        ({"_source": ["author"]}, {}, ("author.name", "author.born")),
        ({"_source": {"includes": ["t*"], "excludes": ["title"]}}, {}, ()),
        ({"_source": {"exclude": "author.name"}}, {}, ("title", "body", "author.born")),
        ({"_source": {"excludes": ["author"]}}, {}, ("title", "body")),
        ({"stored_fields": ["title"]}, {}, ()),
        ({"stored_fields": ["_source"]}, {}, FIELDS),
        ({"script_fields": {"s": {}}}, {}, ()),
        ({"script_fields": {}}, {}, FIELDS),
        ({"_source": ["title"], "stored_fields": ["x"]}, {}, ("title",)),
        ({"_source": False}, {"_source": "true"}, FIELDS),
        ({}, {"_source": "false"}, ()),
        ({}, {"_source": "title,body"}, ("title", "body")),
        ({"_source": ["title"]}, {"_source_includes": "body"}, ("body",)),
        ({}, {"_source": "title", "_source_includes": "body"}, ("body",)),
        ({}, {"_source_excludes": "author.*"}, ("title", "body")),
        ({}, {"stored_fields": "title"}, ()),
    ],
)
def test_what_is_sent(body: dict[str, Any], params: dict[str, str], shown: tuple[str, ...]) -> None:
    found = source_filter(body, params)
    assert tuple(field for field in FIELDS if found.shows(field)) == shown


def test_an_exclusion_of_something_in_a_field_hides_the_field() -> None:
    assert not source_filter({"_source": {"excludes": ["author.born"]}}, {}).shows("author")
