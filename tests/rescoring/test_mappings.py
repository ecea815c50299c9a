"""Index names and expressions in, the one mapping (or the reason) out."""

import pytest

from sidecar.config.model import FieldSpec, IndexMapping
from sidecar.elasticsearch.wildcard import overlap
from sidecar.reasons import Reason
from sidecar.rescoring.mappings import Match, match

BODY = IndexMapping(fields=(FieldSpec(name="body"),))
TITLE = IndexMapping(fields=(FieldSpec(name="title"),))
INDICES = {
    "articles": TITLE,
    "logs-*": BODY,
    "logs-web-*": TITLE,
    "news": TITLE,
    "*-archive": BODY,
}


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["articles"], "articles"),
        (["logs-app"], "logs-*"),
        (["logs-web-1"], "logs-web-*"),
        (["articles", "news"], "articles"),
        (["logs-web-*"], "logs-web-*"),
        (["logs-app-*"], "logs-*"),
        (["<logs-web-{now/d}>"], "logs-web-*"),
        (["<logs-web-{now/d{yyyy.MM.dd|+12:00}}>"], "logs-web-*"),
        (["logs-web-*", "-logs-web-old"], "logs-web-*"),
        (["articles::data"], "articles"),
    ],
)
def test_the_most_specific_pattern_that_holds_for_all_names(names: list[str], pattern: str) -> None:
    assert match(INDICES, names) == Match(pattern, INDICES[pattern])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["users"], "no_mapping"),
        (["articles", "users"], "mixed_mappings"),
        (["articles", "logs-app"], "mixed_mappings"),
        (["logs-*"], "mixed_mappings"),  # may stand for logs-web-1 too
        (["<logs-{now/d}>"], "mixed_mappings"),
        (["art*"], "no_mapping"),  # may stand for more than `articles`: the resolver knows
        (["remote:articles"], "no_mapping"),
        (["articles::failures"], "no_mapping"),
        (["_all"], "no_mapping"),
        ([], "no_mapping"),
    ],
)
def test_otherwise_a_reason(names: list[str], reason: str) -> None:
    assert match(INDICES, names) == reason


def test_a_catch_all_holds_for_everything_but_hidden_names_and_other_clusters() -> None:
    every = {"*": BODY}
    assert match(every, ["_all"]) == match(every, ["anything"]) == match(every, [""]) == Match("*", BODY)
    assert match(every, [".kibana"]) == match(every, ["remote:logs"]) == Reason.NO_MAPPING
    assert match({"remote:*": BODY}, ["remote:logs"]) == Match("remote:*", BODY)


def test_equal_mappings_under_two_patterns_are_one() -> None:
    assert match({"a-*": BODY, "a-b-*": BODY}, ["a-*"]) == Match("a-*", BODY)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a*", "*b", True),
        ("a*", "b*", False),
        ("a*c", "ab", False),
        ("a**c", "a*bc", True),
        ("abc", "abc", True),
        ("*", "", True),
    ],
)
def test_overlap_of_patterns(left: str, right: str, expected: bool) -> None:
    assert overlap(left, right) is overlap(right, left) is expected
