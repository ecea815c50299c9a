"""What a client or a document can send is worked off in steps that grow with its length, never faster."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import FieldSpec, IndexMapping
from sidecar.elasticsearch import filter_path
from sidecar.elasticsearch.wildcard import Patterns, matches, overlap
from sidecar.rescoring.documents import hidden_fields, highlight_tags, text_of
from sidecar.rescoring.html import strip_html
from sidecar.rescoring.mappings import match
from sidecar.rescoring.query_text import query_string, simple_query_string
from tests.steps import steps

SIDECAR = Path(__file__).parents[2] / "sidecar"
MAPPING = IndexMapping(fields=(FieldSpec(name="title"), FieldSpec(name="a.b.c")), text_from="source", strip_html=True)
STARS = "*".join("a" * 18)


def nested(depth: int) -> Any:
    return json.loads("[" * depth + '"a",' * depth + '"a"' + "]" * depth)


def keys(count: int) -> bytes:
    return json.dumps({"aggregations": {f"a{i}": i for i in range(count)}}).encode()


WORK: dict[str, Callable[[int], object]] = {
    "a pattern of many stars": lambda n: matches(STARS + "*b", "a" * n),
    "a pattern that is all stars": lambda n: matches("*" * n + "b", "a" * n),
    "filter_path with many stars": lambda n: filter_path.apply(
        json.dumps({"aggregations": {"a" * n: 1}}).encode(), f"aggregations.{STARS}*b"
    ),
    "filter_path with a hundred filters": lambda n: filter_path.apply(
        keys(n), ",".join(f"aggregations.a*{i}" for i in range(100))
    ),
    "filter_path on deep nesting": lambda n: filter_path.apply(b'{"a":' * n + b"1" + b"}" * n, "**.b,-**.a"),
    "filter_path of many names": lambda n: filter_path.apply(keys(10), "a." * n),
    "patterns of _source": lambda n: hidden_fields({"_source": [f"{STARS}{i}" for i in range(n)]}, {}, MAPPING),
    "an index expression of many names": lambda n: match(
        {"logs-*-x": MAPPING, "b": MAPPING}, [f"l*{i}" for i in range(n)]
    ),
    "an index expression of many stars": lambda n: match({"a*b*c*d": MAPPING, "a*": MAPPING}, ["*a" * n]),
    "a deeply nested document": lambda n: text_of({"_source": {"title": nested(n)}}, MAPPING),
    "an array of arrays on the way to a field": lambda n: text_of({"_source": {"a": nested(n)}}, MAPPING),
    "highlight tags": lambda n: text_of(
        {"highlight": {"title": "<" * n}},
        MAPPING.model_copy(update={"text_from": "highlight"}),
        highlight_tags({"highlight": {"pre_tags": [f"<{i}>" for i in range(n)]}}),
    ),
    "tags that are not closed": lambda n: strip_html("<a " * n),
    "quotes that are not closed": lambda n: strip_html('<a ">' * n),
    "comments that are not closed": lambda n: strip_html("<!--x>" * n),
    "scripts that are not closed": lambda n: strip_html("<script>" * n),
    "ampersands": lambda n: strip_html("&" * n),
}


@pytest.mark.parametrize("name", WORK)
def test_the_steps_grow_with_the_input(name: str) -> None:
    once, twice = (steps(lambda n=n: WORK[name](n)) for n in (200, 400))  # type: ignore[misc]
    assert twice <= 2.2 * once + 200


def test_one_request_does_not_stop_the_process() -> None:
    """The pattern that a backtracking matcher needs hours for."""
    body = json.dumps({"aggregations": {"a" * 36: {"value": 1}}}).encode()
    assert steps(lambda: filter_path.apply(body, f"aggregations.{STARS}*b")) < 1000
    assert filter_path.apply(body, f"aggregations.{STARS}*") == body


def naive(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, re.split(r"\*+", pattern))), name, re.DOTALL) is not None


@given(st.text("ab*", max_size=8), st.text("ab", max_size=9))
def test_patterns_match_as_their_definition_says(pattern: str, name: str) -> None:
    patterns = Patterns(["b*a", pattern, "a"])
    assert matches(pattern, name) is naive(pattern, name)
    assert bool(patterns.after(patterns.starts[1], name) & patterns.ends[1]) is naive(pattern, name)


@given(st.text("ab*", max_size=6), st.text("ab*", max_size=6))
def test_patterns_overlap_where_a_name_fits_both(left: str, right: str) -> None:
    names = ["", *("".join(Random(seed).choices("ab", k=seed % 7)) for seed in range(60))]
    assert overlap(left, right) is overlap(right, left)
    assert overlap(left, right) >= any(matches(left, name) and matches(right, name) for name in names)


READING = ("elasticsearch", "rescoring")
PURE = [file for package in READING for file in (SIDECAR / package).rglob("*.py")]


@pytest.mark.parametrize("module", PURE, ids=lambda file: file.stem)
def test_no_regular_expression_is_built_of_input(module: Path) -> None:
    """`re` backtracks: its patterns are written out at the top of a module, where they can be read."""
    tree = ast.parse(module.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    calls = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)]
    used = [node for node in calls if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re"]
    built = [node for node in used if not isinstance(node.args[0], ast.Constant)]
    assert [ast.unparse(node) for node in built] == []


@pytest.mark.parametrize("texts", [query_string.texts, simple_query_string.texts])
def test_no_more_is_read_of_a_query_string_than_models_read(texts: Callable[[str], Iterator[object]]) -> None:
    once, twice = (steps(lambda n=n: list(texts("a (" * n))) for n in (20_000, 40_000))  # type: ignore[misc]
    assert twice <= once + 1000


def test_no_more_is_read_of_a_field_than_models_read() -> None:
    text, missing = text_of({"_source": {"title": "<p>" + "zip " * 300_000}}, MAPPING)
    assert 999_000 < len(text) < 1_000_000
    assert missing == 1
