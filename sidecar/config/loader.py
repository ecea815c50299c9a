"""A YAML file to a ``Config``, or every problem with it at once, each with its line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from sidecar.config.model import Config
from sidecar.config.problems import describe, did_you_mean, is_echo
from sidecar.config.urls import split_listener
from sidecar.config.yaml_text import Located, Path, dotted, parse
from sidecar.errors import ConfigError

NO_OVERRIDES: Mapping[str, Any] = {}


def load(path: FilePath, environ: Mapping[str, str], overrides: Mapping[str, Any] = NO_OVERRIDES) -> Config:
    """Read a configuration file. ``overrides`` (from the command line) win over what it says.

    Raises:
        ConfigError: the file cannot be read, or is wrong; every problem is in it.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start} is not valid)"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: {(error.strerror or str(error)).lower()}"]) from error
    return loads(text, environ, str(path), overrides)


def loads(
    text: str,
    environ: Mapping[str, str],
    name: str = "<config>",
    overrides: Mapping[str, Any] = NO_OVERRIDES,
) -> Config:
    """Read a configuration from text; ``name`` stands before the line numbers of problems.

    Raises:
        ConfigError: the text is wrong; every problem is in it.
    """
    located = parse(text.removeprefix("\ufeff"), environ, name)
    if not isinstance(located.value, dict):
        raise ConfigError([f"{name}:1: a configuration is a mapping of keys, such as `indices:`"])
    data = merge(_spelled_out(located.value), overrides)
    try:
        return _validate(data, located)
    except ValidationError as error:
        problems = _problems(error, data, located, name)
        raise ConfigError([line for _, line in sorted(problems)]) from None


def _spelled_out(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with listeners as mappings, so that a flag for the port leaves the file's host as it is."""
    out = dict(data)
    for key in {"listen", "admin"} & data.keys():
        with contextlib.suppress(ValueError):  # validation says so
            out[key] = split_listener(data[key]) if isinstance(data[key], str) else data[key]
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; lists and scalars are replaced."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return out


def _validate(data: dict[str, Any], located: Located) -> Config:
    """Validate; interpolated values that got a number's type where text is wanted are taken as text."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        wanted = {each["loc"] for each in error.errors() if each["type"] == "string_type"}
        if not (texts := {path: located.texts[path] for path in wanted if path in located.texts}):
            raise
    for path, text in texts.items():
        data = _replaced(data, path, text)
    return Config.model_validate(data)


def _replaced(value: Any, path: Path, text: str) -> Any:
    if not path:
        return text
    out = value.copy()
    out[path[0]] = _replaced(out[path[0]], path[1:], text)
    return out


def _problems(
    error: ValidationError, data: Mapping[str, Any], located: Located, name: str
) -> Iterable[tuple[int, str]]:
    errors = [each for each in error.errors(include_url=False) if each["loc"] and not is_echo(each)]
    found: list[tuple[Path, str]] = [(each["loc"], describe(each)) for each in errors]
    for path, problem in [*found, *_unknown_models(data)]:
        line = _line(path, located.lines)
        yield line, f"{name}:{line}: {problem}" if line else f"command line: {problem}"


def _line(path: Path, lines: Mapping[Path, int]) -> int:
    """Return the line of a path, or of the nearest thing around it; 0 when the text has nothing of it."""
    while path and path not in lines:
        path = path[:-1]
    return lines[path] if path else 0


def _unknown_models(data: Mapping[str, Any]) -> Iterable[tuple[Path, str]]:
    """Check `indices.*.model` on the raw data, so that it is told together with all other problems."""
    engine, indices = data.get("engine"), data.get("indices")
    models = engine.get("models") if isinstance(engine, dict) else None
    known = sorted(map(str, models)) if isinstance(models, dict) else []
    for pattern, mapping in (indices if isinstance(indices, dict) else {}).items():
        model = mapping.get("model") if isinstance(mapping, dict) else None
        if isinstance(model, str) and model not in known:
            path: Path = ("indices", pattern, "model")
            hint = f" ({', '.join(known) or 'it has none'}){did_you_mean(model, known)}"
            yield path, f'{dotted(path)}: found "{model}"; expected a name from engine.models{hint}'
