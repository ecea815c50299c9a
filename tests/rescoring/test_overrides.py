"""Overrides: this body and these headers in, exactly these choices or this 400 out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.config.model import FieldSpec, IndexMapping, Overrides
from sidecar.rescoring.overrides import HEADERS, overrides
from sidecar.rescoring.overrides import Overrides as Chosen
from sidecar.rescoring.values import BadRequest, Settings

MAPPING = IndexMapping(fields=("title",), window_size=50, timeout=1.5)
MODELS = {None: Fusion(method="linear", weight=0.5), "small": Fusion(), "large": Fusion(method="rrf")}
DEFAULTS: dict[str, Any] = {"model": None, "timeout": 1.5, "fusion": MODELS[None]}


def chosen(
    *, enabled: bool = True, query: str | None = None, window_size: int = 50, fields: Any = None, **settings: Any
) -> Chosen:
    given = Settings(**(DEFAULTS | settings))
    specs = None if fields is None else tuple(FieldSpec(name=name) for name in fields)
    return Chosen(enabled=enabled, query=query, window_size=window_size, settings=given, fields=specs)


@pytest.mark.parametrize(
    ("ext", "headers", "expected"),
    [
        (None, {}, chosen()),
        ({}, {}, chosen()),
        ({"enabled": False}, {}, chosen(enabled=False)),
        ({"query": " what is a fox? "}, {}, chosen(query=" what is a fox? ")),
        ({"window_size": 20}, {}, chosen(window_size=20)),
        ({"window_size": 5000}, {}, chosen(window_size=1000)),
        ({"window_size": 10**30}, {}, chosen(window_size=1000)),
        ({"timeout_ms": 250}, {}, chosen(timeout=0.25)),
        ({"timeout_ms": 10**400}, {}, chosen(timeout=10.0)),
        ({"model": "large"}, {}, chosen(model="large", fusion=MODELS["large"])),
        ({"fusion": "rrf"}, {}, chosen(fusion=Fusion(method="rrf"))),
        ({"fusion": {"method": "linear", "weight": 0.5}}, {}, chosen(fusion=Fusion(method="linear", weight=0.5))),
        ({"explain": True}, {}, chosen(explain=True)),
        ({"explain": "text"}, {}, chosen(explain="text")),
        ({"fields": "body"}, {}, chosen(fields=("body",))),
        ({}, {"x-rescore-fields": '["body", "a.b", "body"]'}, chosen(fields=("body", "a.b"))),
        ({"min_score": 0}, {}, chosen(min_score=0.0)),
        (None, {"x-rescore-enabled": "False"}, chosen(enabled=False)),
        (None, {"x-rescore-query": "caf%C3%A9 \u65e5"}, chosen(query="café 日")),
        (None, {"x-rescore-query": "12"}, chosen(query="12")),
        (None, {"x-rescore-window-size": " 7 "}, chosen(window_size=7)),
        (None, {"x-rescore-timeout-ms": "99999999"}, chosen(timeout=10.0)),
        (None, {"x-rescore-fusion": "linear"}, chosen(fusion=Fusion(method="linear"))),
        (
            None,
            {"x-rescore-fusion": '{"method":"rrf","rank_constant":9}'},
            chosen(fusion=Fusion(method="rrf", rank_constant=9)),
        ),
        (None, {"x-rescore-min-score": "0.25"}, chosen(min_score=0.25)),
        (
            None,
            {"x-rescore-model": "large", "x-rescore-explain": "true"},
            chosen(model="large", fusion=MODELS["large"], explain=True),
        ),
        ({"window_size": 3}, {"x-rescore-window-size": "9"}, chosen(window_size=3)),
    ],
)
def test_choices(ext: Any, headers: dict[str, str], expected: Chosen) -> None:
    assert overrides(ext, headers, MAPPING, MODELS) == expected


@pytest.mark.parametrize(
    ("ext", "headers", "message"),
    [
        ([], {}, "[ext.rescore] must be an object, found [[]]"),
        (True, {}, "[ext.rescore] must be an object, found [true]"),
        (
            {"windowsize": 1},
            {},
            "[ext.rescore] unknown field [windowsize], expected one of "
            "[enabled, query, window_size, timeout_ms, model, fusion, fields, explain, min_score]",
        ),
        ({"window_size": "ten"}, {}, '[ext.rescore.window_size] must be a positive integer, found ["ten"]'),
        ({"window_size": 0}, {}, "[ext.rescore.window_size] must be a positive integer, found [0]"),
        ({"window_size": True}, {}, "[ext.rescore.window_size] must be a positive integer, found [true]"),
        ({"window_size": 1.5}, {}, "[ext.rescore.window_size] must be a positive integer, found [1.5]"),
        ({"timeout_ms": None}, {}, "[ext.rescore.timeout_ms] must be a positive integer, found [null]"),
        ({"enabled": "no"}, {}, '[ext.rescore.enabled] must be a boolean, found ["no"]'),
        ({"fields": []}, {}, "[ext.rescore.fields] must be a field's name or a list of 1 to 16, found [[]]"),
        ({"fields": [1]}, {}, "[ext.rescore.fields] must be a field's name or a list of 1 to 16, found [[1]]"),
        ({"explain": 1}, {}, "[ext.rescore.explain] must be a boolean or [text], found [1]"),
        ({"query": " "}, {}, '[ext.rescore.query] must be a non-empty string, found [" "]'),
        ({"query": ["a"]}, {}, '[ext.rescore.query] must be a non-empty string, found [["a"]]'),
        ({"min_score": "1"}, {}, '[ext.rescore.min_score] must be a number, found ["1"]'),
        ({"min_score": 10**309}, {}, f"[ext.rescore.min_score] must be a number, found [1{'0' * 99}...]"),
        (
            {"model": "big"},
            {},
            '[ext.rescore.model] must be one of [default, large, small], found ["big"]',
        ),
        (None, {"x-rescore-model": ""}, '[X-Rescore-Model] must be a non-empty string, found [""]'),
        (
            None,
            {"x-rescore-model": "%2Fetc"},
            '[X-Rescore-Model] must be one of [default, large, small], found ["/etc"]',
        ),
        ({"fusion": 5}, {}, "[ext.rescore.fusion] must be a method's name or an object, found [5]"),
        (
            {"fusion": "best"},
            {},
            "[ext.rescore.fusion.method] Input should be 'replace', 'linear' or 'rrf', found [\"best\"]",
        ),
        (None, {"x-rescore-enabled": "maybe"}, '[X-Rescore-Enabled] must be a boolean, found ["maybe"]'),
        (None, {"x-rescore-window-size": "-1"}, "[X-Rescore-Window-Size] must be a positive integer, found [-1]"),
        (None, {"x-rescore-min-score": "nan"}, '[X-Rescore-Min-Score] must be a number, found ["nan"]'),
        (None, {"x-rescore-explain": "\udcff"}, '[X-Rescore-Explain] must be a boolean or [text], found ["\ufffd"]'),
    ],
)
def test_mistakes(ext: Any, headers: dict[str, str], message: str) -> None:
    assert overrides(ext, headers, MAPPING, MODELS) == BadRequest(message)


def test_what_the_mapping_does_not_allow_is_refused() -> None:
    mapping = IndexMapping(fields=("title",), overrides=Overrides(allow=("query",)))
    assert isinstance(overrides({"query": "a"}, {}, mapping, MODELS), Chosen)
    expected = BadRequest("[ext.rescore.window_size] may not be overridden on this index")
    assert overrides({"window_size": 5}, {}, mapping, MODELS) == expected
    expected = BadRequest("[X-Rescore-Model] may not be overridden on this index")
    assert overrides(None, {"x-rescore-model": "m"}, mapping, MODELS) == expected


def test_the_default_model_may_be_chosen_where_the_mapping_has_another() -> None:
    mapping = IndexMapping(fields=("title",), window_size=50, timeout=1.5, model="large")
    assert overrides(None, {}, mapping, MODELS) == chosen(model="large", fusion=MODELS["large"])
    assert overrides({"model": "default"}, {}, mapping, MODELS) == chosen(model=None)
    assert overrides({"model": "default"}, {}, MAPPING, {None: MODELS[None]}) == chosen(model=None)


def test_a_fusion_that_is_configured_or_asked_for_holds_for_every_model() -> None:
    mapping = MAPPING.model_copy(update={"fusion": Fusion(method="linear", weight=0.9)})
    assert overrides({"model": "large"}, {}, mapping, MODELS) == chosen(model="large", fusion=mapping.fusion)
    asked = {"model": "large", "fusion": "replace"}
    assert overrides(asked, {}, mapping, MODELS) == chosen(model="large", fusion=Fusion(method="replace"))


def test_a_mapping_above_the_cap_is_its_own_cap() -> None:
    mapping = IndexMapping(fields=("title",), window_size=500, timeout=30, overrides=Overrides(max_window_size=100))
    found = overrides({"window_size": 800, "timeout_ms": 60_000}, {}, mapping, MODELS)
    assert isinstance(found, Chosen)
    assert (found.window_size, found.settings.timeout) == (500, 30.0)


def test_headers_are_the_documented_ones() -> None:
    assert HEADERS == {
        "enabled": "X-Rescore-Enabled",
        "query": "X-Rescore-Query",
        "window_size": "X-Rescore-Window-Size",
        "timeout_ms": "X-Rescore-Timeout-Ms",
        "model": "X-Rescore-Model",
        "fusion": "X-Rescore-Fusion",
        "fields": "X-Rescore-Fields",
        "explain": "X-Rescore-Explain",
        "min_score": "X-Rescore-Min-Score",
    }


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(sorted(HEADERS)), ANY_JSON) | ANY_JSON,
    st.dictionaries(st.sampled_from([name.lower() for name in HEADERS.values()]), st.text(max_size=12)),
)
def test_nothing_else_comes_out(ext: Any, headers: dict[str, str]) -> None:
    found = overrides(ext, headers, MAPPING, MODELS)
    assert isinstance(found, Chosen | BadRequest)
    assert isinstance(found, BadRequest) or 1 <= found.window_size <= 1000
