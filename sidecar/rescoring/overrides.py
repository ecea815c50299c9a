"""What one request changes: `ext.rescore` in the body, or `X-Rescore-*` headers; the body wins.

Only what cannot hurt others may be overridden, and only up to the mapping's caps. A wrong name or type is
the client's mistake and is said as such, in Elasticsearch's words.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec
from pydantic import ValidationError

from sidecar.config.fusion import Fusion
from sidecar.config.model import DEFAULT_MODEL, FieldSpec, IndexMapping
from sidecar.rescoring.values import BadRequest, Settings

_SHOWN: Final = 100
_FIELD_COUNT, _NAME_LENGTH = 16, 256
_LARGEST: Final = sys.float_info.max


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The request's own choices under the mapping's caps."""

    enabled: bool
    query: str | None
    window_size: int
    settings: Settings
    fields: tuple[FieldSpec, ...] | None = None


class _WrongError(ValueError):
    """An override that the client must correct."""


def overrides(
    ext: Any, headers: Mapping[str, str], mapping: IndexMapping, fusions: Mapping[str | None, Fusion]
) -> Overrides | BadRequest:
    """Read `ext.rescore` (decoded; None when absent) and the headers.

    Args:
        ext: the decoded `ext.rescore` object, or None.
        headers: the request's headers with lower-case names.
        mapping: gives the defaults, the caps and what may be overridden.
        fusions: the one that fits each model, by its name in `engine.models`; None is the default model's.
    """
    try:
        models = [name for name in fusions if name is not None]
        given = _from_headers(headers, mapping, models) | _from_body(ext, mapping, models)
        return _apply(given, mapping, fusions)
    except _WrongError as problem:
        return BadRequest(str(problem))


def _from_body(ext: Any, mapping: IndexMapping, models: Collection[str]) -> dict[str, Any]:
    if ext is None:
        return {}
    if not isinstance(ext, dict):
        raise _wrong("ext.rescore", "must be an object", ext)
    for name in ext:
        if name not in _CHECKS:
            raise _WrongError(f"[ext.rescore] unknown field [{name}], expected one of [{', '.join(_CHECKS)}]")
    return {name: _checked(name, f"ext.rescore.{name}", value, mapping, models) for name, value in ext.items()}


def _from_headers(headers: Mapping[str, str], mapping: IndexMapping, models: Collection[str]) -> dict[str, Any]:
    given = ((name, header, headers.get(header.lower())) for name, header in HEADERS.items())
    return {
        name: _checked(name, header, _value(name, text), mapping, models)
        for name, header, text in given
        if text is not None
    }


def _checked(name: str, place: str, value: Any, mapping: IndexMapping, models: Collection[str]) -> Any:
    if name not in mapping.overrides.allow:
        raise _WrongError(f"[{place}] may not be overridden on this index")
    checked = _CHECKS[name](place, value)
    return _model(place, checked, models) if name == "model" else checked


def _model(place: str, name: str, models: Collection[str]) -> str | None:
    """Return the name of a model as mappings have it: None is the default model."""
    if name == DEFAULT_MODEL:
        return None
    if name not in models:
        known = ", ".join([DEFAULT_MODEL, *sorted(models)])
        raise _wrong(place, f"must be one of [{known}]", name)
    return name


def _value(name: str, text: str) -> Any:
    """Return a header's text as the JSON value it stands for; strings may be percent-encoded UTF-8."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if name in ("query", "model"):
        return unquote(text)
    try:
        return msgspec.json.decode(text.strip().lower())
    except (ValueError, RecursionError):
        return text


def _apply(given: Mapping[str, Any], mapping: IndexMapping, fusions: Mapping[str | None, Fusion]) -> Overrides:
    limits, model = mapping.overrides, given.get("model", mapping.model)
    most = max(limits.max_timeout, mapping.timeout)
    return Overrides(
        enabled=given.get("enabled", True),
        query=given.get("query"),
        window_size=min(
            given.get("window_size", mapping.window_size), max(limits.max_window_size, mapping.window_size)
        ),
        settings=Settings(
            model=model,
            timeout=min(given["timeout_ms"], most * 1000) / 1000 if "timeout_ms" in given else mapping.timeout,
            fusion=given.get("fusion") or mapping.fusion or fusions[model],
            explain=given.get("explain", False),
            min_score=given.get("min_score"),
        ),
        fields=given.get("fields"),
    )


def _wrong(place: str, rule: str, value: Any) -> _WrongError:
    found = msgspec.json.encode(value).decode("utf-8", "replace")
    shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "..."
    return _WrongError(f"[{place}] {rule}, found [{shown}]")


def _boolean(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(place, "must be a boolean", value)
    return value


def _positive(place: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(place, "must be a positive integer", value)
    return value


def _number(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        raise _wrong(place, "must be a number", value)
    return float(value)


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(place, "must be a non-empty string", value)
    return value


def _fields(place: str, value: Any) -> tuple[FieldSpec, ...]:
    names = [value] if isinstance(value, str) else value
    usual = isinstance(names, list) and all(isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH for name in names)
    if not usual or not 0 < len(names) <= _FIELD_COUNT:
        raise _wrong(place, f"must be a field's name or a list of 1 to {_FIELD_COUNT}", value)
    return tuple(FieldSpec(name=name) for name in dict.fromkeys(names))


def _explained(place: str, value: Any) -> bool | Literal["text"]:
    if value != "text" and not isinstance(value, bool):
        raise _wrong(place, "must be a boolean or [text]", value)
    return value  # type: ignore[no-any-return]


def _fusion(place: str, value: Any) -> Fusion:
    if not isinstance(value, str | dict):
        raise _wrong(place, "must be a method's name or an object", value)
    try:
        return Fusion.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join([place, *map(str, first["loc"])])
        raise _wrong(where, first["msg"], first["input"]) from problem


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "enabled": _boolean,
    "query": _text,
    "window_size": _positive,
    "timeout_ms": _positive,
    "model": _text,
    "fusion": _fusion,
    "fields": _fields,
    "explain": _explained,
    "min_score": _number,
}
HEADERS: Final = {name: "X-Rescore-" + name.replace("_", "-").title() for name in _CHECKS}
"""The header of each override."""
