"""Pydantic's errors as lines for a person: where, what was found, what is allowed. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import SecretStr

from sidecar.config.model import Config
from sidecar.config.section import Section
from sidecar.config.urls import redact
from sidecar.config.yaml_text import Path, dotted

_EXPECTED = {
    "string_type": "text (put it in quotes)",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "too_short": "a list with at least one entry",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_MAX_SHOWN = 60


def describe(error: Mapping[str, Any]) -> str:
    """Return one problem as `path: found ...; expected ...`."""
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{dotted(path)}: {_unknown_key(path)}"
    if error["type"] == "missing":
        return f"{dotted(path)}: missing; {_about(path)}".rstrip("; ")
    if error["type"] in ("value_error", "assertion_error"):
        message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{dotted(path)}: found {_found(error)}; {message}" if path else message
    return f"{dotted(path)}: found {_found(error)}; expected {_expected(error)}"


def is_echo(error: Mapping[str, Any]) -> bool:
    """Return whether an error only repeats others: a list is too short since its entries are wrong."""
    return error["type"] == "too_short" and bool(error["input"])


def did_you_mean(word: Any, known: list[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing when no known word is close."""
    close = difflib.get_close_matches(str(word), known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _unknown_key(path: Path) -> str:
    section = section_at(path[:-1])
    known = sorted(section.model_fields) if section else []
    return f"unknown key{did_you_mean(path[-1], known)}; allowed: {', '.join(known)}"


def _expected(error: Mapping[str, Any]) -> str:
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind in ("model_type", "model_attributes_type"):
        section = section_at(tuple(error["loc"]))
        short = "text, or " if hasattr(section, "_short") else ""
        return f"{short}a mapping with keys of: {', '.join(section.model_fields)}" if section else "a mapping"
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"{context['expected']}{did_you_mean(error['input'], words)}"
    fallback = re.sub(r"^(greater|less)", r"a value \1", str(error["msg"]).removeprefix("Input should be "))
    return _EXPECTED.get(kind, fallback[:1].lower() + fallback[1:])


def _about(path: Path) -> str:
    section = section_at(path[:-1])
    known = section.model_fields.get(str(path[-1])) if section else None
    return (known.description or "") if known else ""


def _found(error: Mapping[str, Any]) -> str:
    """Return the value that is wrong, unless it is a secret or may hold one."""
    path: Path = tuple(error["loc"])
    section = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section and path else None
    hidden = field is not None and error["input"] is not None and _holds_secret(field.annotation)
    return "a value that is not shown" if hidden else _shown(error["input"])


def _holds_secret(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return any(_holds_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))


def _shown(value: Any) -> str:
    """Return the value as YAML flow text, cut short, and what it is where that is not plain to see."""
    if value is None:
        return "nothing (null)"
    text = json.dumps(_redacted(value), ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    return redact(value) if isinstance(value, str) else value


def section_at(path: Path) -> type[Section] | None:
    """Return the section that a path leads to, or None when it leads elsewhere."""
    current: Any = Config
    for part in path:
        section = _section_in(current)
        if section is not None and section is current:
            known = section.model_fields.get(str(part))
            current = None if known is None else known.annotation
        else:  # a key of a dict or a position in a list
            current = section
    return _section_in(current)


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the section class in an annotation such as `dict[str, IndexMapping]` or `Passages | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
