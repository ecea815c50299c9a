"""The systems that are measured: Elasticsearch alone, and the points of a sweep over the sidecar's settings. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sidecar.config.fusion import Fusion, fitting
from sidecar.config.model import FieldSpec, IndexMapping

BASELINE: Final = "elasticsearch"
"""The name of the system that is Elasticsearch alone."""

_AXES: Final = ("window_size", "model", "fusion", "fields")
Sweep = Mapping[str, Sequence[Any]]
"""Values by axis: whole numbers, model names, `Fusion`s, tuples of field names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One way to answer. ``fields`` are names of the mapping's, in order."""

    name: str
    model: str
    fields: tuple[str, ...]
    window_size: int
    fusion: Fusion

    def override(self) -> dict[str, Any]:
        """Return `ext.rescore` of its searches."""
        return {"window_size": self.window_size, "fusion": self.fusion.model_dump(mode="json")}


def sweep(arguments: Sequence[str]) -> Sweep:
    """Read `--sweep AXIS=VALUE,VALUE` arguments; the same axis again adds to it.

    Raises:
        ValueError: an axis or a value is unknown.
    """
    axes: dict[str, list[Any]] = {}
    for argument in arguments:
        axis, _, values = argument.partition("=")
        if axis not in _AXES or not values:
            raise ValueError(f"--sweep {argument}: expected AXIS=VALUE,VALUE with one of {', '.join(_AXES)}")
        for value in values.split(","):
            axes.setdefault(axis, []).append(_value(axis, value.strip(), argument))
    return axes


def _value(axis: str, value: str, argument: str) -> Any:
    if axis == "window_size":
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 10_000:
            raise ValueError(f"--sweep {argument}: a window is a number from 1 to 10000, found {value!r}")
        return int(value)
    if axis == "fields":
        return tuple(value.split("+"))
    if axis == "fusion":
        return fusion(value, f"--sweep {argument}")
    return value


def fusion(text: str, where: str) -> Fusion:
    """Read `replace`, `linear:0.3`, `linear:0.3:z_score`, `rrf` or `rrf:60`.

    Raises:
        ValueError: it is none of them.
    """
    method, *rest = text.split(":")
    names = {"linear": ("weight", "normalize"), "rrf": ("rank_constant",)}.get(method, ())
    try:
        return Fusion.model_validate({"method": method, **dict(zip(names, rest, strict=len(rest) > len(names)))})
    except (ValidationError, ValueError) as problem:
        raise ValueError(f"{where}: {text!r} is no fusion such as replace, linear:0.3 or rrf:60") from problem


def spelled(value: Fusion) -> str:
    """Return a fusion as ``fusion`` reads it, what is the default left out."""
    default = Fusion()
    if value.method == "linear":
        return f"linear:{value.weight:g}" + (f":{value.normalize}" if value.normalize != default.normalize else "")
    if value.method == "rrf":
        return "rrf" + (f":{value.rank_constant}" if value.rank_constant != default.rank_constant else "")
    return value.method


def systems(axes: Sweep, mapping: IndexMapping, model: str, fits: Callable[[str], Fusion] = fitting) -> list[System]:
    """Return the points of the sweep, named by what varies; without one, the mapping as it is.

    Points of one model and fields stand together, larger windows first: all their pairs are scored by then.
    ``fits`` tells the fusion of a model where neither the sweep nor the mapping does.
    """
    models, fields = axes.get("model", [model]), axes.get("fields", [tuple(spec.name for spec in mapping.fields)])
    windows = sorted(axes.get("window_size", [mapping.window_size]), reverse=True)
    fusions = axes.get("fusion", [mapping.fusion])  # None: what fits the model
    found = []
    for point in itertools.product(*map(_distinct, (models, fields, windows, fusions))):
        named = zip(("model", "fields", "window_size", "fusion"), point, strict=True)
        parts = [_part(axis, value, axes) for axis, value in named if len(axes.get(axis, ())) > 1]
        name = " ".join(parts) or "rescored"
        found.append(
            System(name=name, model=point[0], fields=point[1], window_size=point[2], fusion=point[3] or fits(point[0]))
        )
    return found


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]


def _part(axis: str, value: Any, axes: Sweep) -> str:
    if axis == "fusion":
        return spelled(value)
    if axis == "fields":
        return "+".join(value)
    if axis == "window_size":
        return f"window={value}"
    last = [_last(model) for model in axes["model"]]
    return str(value) if last.count(_last(value)) > 1 else _last(value)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def with_fields(mapping: IndexMapping, names: Sequence[str]) -> IndexMapping:
    """Return the mapping with these fields, labels kept."""
    known = {spec.name: spec for spec in mapping.fields}
    return mapping.model_copy(update={"fields": tuple(known.get(name) or FieldSpec(name=name) for name in names)})


def slug(name: str) -> str:
    """Return a file name for a system."""
    return re.sub(r"[^\w.+=-]+", "_", name)
