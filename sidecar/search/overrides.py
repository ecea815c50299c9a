"""What one request changes: `ext.rescore` in the body, or `X-Rescore-*` headers; the body wins.

Only what cannot hurt others may be overridden, and only up to the mapping's caps. A wrong name or type is
the client's mistake and is said as such, in Elasticsearch's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from sidecar.config.model import Fusion, IndexMapping
from sidecar.search.types import BadRequest, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The request's own choices under the mapping's caps."""

    enabled: bool
    query: str | None
    window_size: int
    settings: Settings


class _Wrong(ValueError):
    """An override that the client must correct."""


def overrides(
    ext: Any, headers: Mapping[str, str], mapping: IndexMapping, models: frozenset[str] | None = None
) -> Overrides | BadRequest:
    """Read `ext.rescore` (decoded; None when absent) and the headers.

    Args:
        ext: the decoded `ext.rescore` object, or None.
        headers: the request's headers with lower-case names.
        mapping: gives the defaults, the caps and what may be overridden.
        models: names of `engine.models` that may be chosen; None leaves that to the engine.
    """
    try:
        given = _given(ext, headers, mapping)
        return _apply(given, mapping, models)
    except _Wrong as problem:
        return BadRequest(str(problem))


def _given(ext: Any, headers: Mapping[str, str], mapping: IndexMapping) -> dict[str, Any]:
    if ext is not None and not isinstance(ext, dict):
        raise _Wrong(f"[ext.rescore] must be an object, found [{ext!r}]")
    given = {name: _from_header(name, headers[header]) for name, header in _HEADERS.items() if header in headers}
    given |= ext or {}
    for name in given:
        if name not in _CHECKS:
            raise _Wrong(f"[ext.rescore] unknown field [{name}], expected one of [{', '.join(_CHECKS)}]")
        if name not in mapping.overrides.allow:
            raise _Wrong(f"[ext.rescore.{name}] may not be overridden on this index")
    return {name: _CHECKS[name](f"ext.rescore.{name}", value) for name, value in given.items()}


def _from_header(name: str, text: str) -> Any:
    """Give a header's text as the JSON value it stands for; the query may be percent-encoded UTF-8."""
    if name in ("enabled", "explain"):
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if name in ("window_size", "timeout_ms"):
        return int(text) if text.strip().isdecimal() else text
    if name == "min_score":
        try:
            return float(text)
        except ValueError:
            return text
    return unquote(text)


def _apply(given: Mapping[str, Any], mapping: IndexMapping, models: frozenset[str] | None) -> Overrides:
    limits = mapping.overrides
    timeout = given["timeout_ms"] / 1000 if "timeout_ms" in given else mapping.timeout
    model = given.get("model", mapping.model)
    if "model" in given and models is not None and model not in models:
        raise _Wrong(f"[ext.rescore.model] unknown model [{model}], expected one of [{', '.join(sorted(models))}]")
    window = given.get("window_size", mapping.window_size)
    return Overrides(
        enabled=given.get("enabled", True),
        query=given.get("query"),
        window_size=min(window, max(limits.max_window_size, mapping.window_size)),
        settings=Settings(
            model=model,
            timeout=min(timeout, max(limits.max_timeout, mapping.timeout)),
            fusion=given.get("fusion", mapping.fusion),
            explain=given.get("explain", False),
            min_score=given.get("min_score"),
        ),
    )


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"[{name}] must be a boolean, found [{value!r}]")
    return value


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Wrong(f"[{name}] must be a positive integer, found [{value!r}]")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"[{name}] must be a number, found [{value!r}]")
    return float(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"[{name}] must be a non-empty string, found [{value!r}]")
    return value


def _fusion(name: str, value: Any) -> Fusion:
    try:
        return Fusion.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join([name, *map(str, first["loc"])])
        raise _Wrong(f"[{where}] {first['msg']}, found [{first['input']!r}]") from problem


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "enabled": _boolean,
    "query": _text,
    "window_size": _positive,
    "timeout_ms": _positive,
    "model": _text,
    "fusion": _fusion,
    "explain": _boolean,
    "min_score": _number,
}
_HEADERS = {name: "x-rescore-" + name.replace("_", "-") for name in _CHECKS}
