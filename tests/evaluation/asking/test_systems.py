"""The sweep: its axes, its points, their names."""

from __future__ import annotations

import pytest

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.evaluation.asking.systems import fusion, slug, spelled, sweep, systems, with_fields

MAPPING = IndexMapping.model_validate({"fields": [{"name": "title", "label": "T: "}, "body"], "window_size": 50})


def test_without_a_sweep_the_mapping_is_measured_as_it_is() -> None:
    [system] = systems(sweep([]), MAPPING, "bundled")
    assert (system.name, system.model, system.fields) == ("rescored", "bundled", ("title", "body"))
    assert system.override() == {"window_size": 50, "fusion": Fusion(method="linear", weight=0.5).model_dump()}
    [hub] = systems(sweep([]), MAPPING, "cross-encoder/ms-marco-MiniLM-L6-v2")
    assert hub.fusion == Fusion(method="replace")


def test_the_product_of_all_axes_larger_windows_first() -> None:
    axes = sweep(["window_size=10,100", "fusion=replace,linear:0.3", "fields=title+body,body", "model=/m/a,/m/b/"])
    names = [system.name for system in systems(axes, MAPPING, "bundled")]
    assert len(set(names)) == 16
    assert names[:3] == [
        "a title+body window=100 replace",
        "a title+body window=100 linear:0.3",
        "a title+body window=10 replace",
    ]


def test_an_axis_of_one_value_is_not_in_the_names_and_repeated_values_are_one_point() -> None:
    points = systems(sweep(["window_size=10,10,20", "fusion=rrf"]), MAPPING, "bundled")
    assert [point.name for point in points] == ["window=20", "window=10"]
    assert {point.fusion for point in points} == {Fusion(method="rrf")}


def test_models_of_the_same_last_name_are_told_apart() -> None:
    points = systems(sweep(["model=/a/model,/b/model"]), MAPPING, "bundled")
    assert [point.name for point in points] == ["/a/model", "/b/model"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("replace", Fusion(method="replace")),
        ("linear", Fusion(method="linear")),
        ("linear:0.3", Fusion(method="linear", weight=0.3)),
        ("linear:0.3:z_score", Fusion(method="linear", weight=0.3, normalize="z_score")),
        ("rrf:10", Fusion(method="rrf", rank_constant=10)),
    ],
)
def test_fusions(text: str, expected: Fusion) -> None:
    assert fusion(text, "") == expected
    assert fusion(spelled(expected), "") == expected


@pytest.mark.parametrize(
    "argument",
    [
        "window=10",
        "window_size",
        "window_size=",
        "window_size=0",
        "window_size=ten",
        "window_size=20000",
        "fusion=mean",
        "fusion=linear:2",
        "fusion=replace:1",
        "fusion=rrf:60:1",
        "fusion=linear:x",
    ],
)
def test_mistakes_name_the_argument(argument: str) -> None:
    with pytest.raises(ValueError, match=f"--sweep {argument}: "):
        sweep([argument])


def test_labels_of_the_mapping_stay() -> None:
    assert [(spec.name, spec.label) for spec in with_fields(MAPPING, ["body", "title", "n"]).fields] == [
        ("body", ""),
        ("title", "T: "),
        ("n", ""),
    ]


def test_file_names() -> None:
    assert slug("cross-encoder/x window=10 linear:0.3") == "cross-encoder_x_window=10_linear_0.3"
