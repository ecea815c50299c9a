"""YAML text to plain data that remembers where each value stood. Pure but for the YAML parser.

Safe types only. Duplicate keys are refused, since YAML parsers keep the last one in silence. `${NAME}` and
`${NAME:-default}` are taken from the environment; `$${` is a literal `${`. An unquoted scalar that is
interpolated gets the type YAML gives its text (`port: ${PORT}` is a number); a quoted one stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sidecar.errors import ConfigError

Path = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REFERENCE = re.compile(
    r"\$(?:\$(?=\{)(?P<escaped>)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\{))"
)
_TAB = re.compile(r" *\t+\s*\S")
_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_CONTAINERS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True, slots=True)
class Located:
    """Plain data, the line of each path, and the text of interpolated scalars before they got a type."""

    value: Any
    lines: dict[Path, int]
    texts: dict[Path, str]


def parse(text: str, environ: Mapping[str, str], name: str) -> Located:
    """Read one YAML document; an empty one is an empty mapping.

    Raises:
        ConfigError: the YAML cannot be read, or has duplicate keys or unset variables: all of them at once.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        reader = _Reader(loader, environ, name)
        value = {} if root is None else reader.read(root, ())
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_problem(error, text, name)]) from error
    finally:
        loader.dispose()
    if reader.problems:
        raise ConfigError([f"{name}:{line}: {problem}" for line, problem in sorted(reader.problems)])
    return Located(value, reader.lines, reader.texts)


def _syntax_problem(error: yaml.YAMLError, text: str, name: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if mark is None:
        return f"{name}: not valid YAML: {problem}"
    line = text.split("\n")[mark.line : mark.line + 1]
    hint = " (inside { } or [ ], put ${...} in quotes)" if "${" in "".join(line) else ""
    for number, near in enumerate(text.split("\n")[: mark.line + 2], start=1):
        if number >= mark.line and _TAB.match(near):
            return f"{name}:{number}: a tab stands in the indentation: YAML takes spaces only"
    return f"{name}:{mark.line + 1}: not valid YAML in column {mark.column + 1}: {problem}{hint}"


@dataclass(slots=True)
class _Reader:
    loader: Any
    environ: Mapping[str, str]
    name: str
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    open_nodes: set[int] = field(default_factory=set)

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _CONTAINERS:
            self._problem(node, f"the tag {node.tag} is not allowed here")
        if id(node) in self.open_nodes:
            self._problem(node, "an anchor may not contain itself")
            return None
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.open_nodes.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merge(value_node, path), **merged}
                continue
            key = self._key(key_node, path)
            if key in own:
                first = self.lines[(*path, key)]
                self._problem(key_node, f"{dotted((*path, key))}: duplicate key, first given in line {first}")
                continue
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            own[key] = self.read(value_node, (*path, key))
        return {**merged, **own}

    def _merge(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for each in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.read(each, path)
            merged.update(value if isinstance(value, dict) else {})
        return merged

    def _key(self, node: yaml.Node, path: Path) -> str:
        """All keys are names, so `2024:` and `on:` are the texts they look like."""
        if isinstance(node, yaml.ScalarNode):
            return self._interpolate(node, path)
        self._problem(node, "a key must be a name, not a list or a mapping")
        return ""

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag != _STR:
            return self._construct(node)
        text = self._interpolate(node, path)
        if text == node.value or node.style in ("'", '"', "|", ">"):
            return text
        self.texts[path] = text
        tag = self.loader.resolve(yaml.ScalarNode, text, (True, False))
        return self._construct(yaml.ScalarNode(tag, text, node.start_mark, node.end_mark), otherwise=text)

    def _construct(self, node: yaml.ScalarNode, otherwise: str | None = None) -> Any:
        try:
            return self.loader.construct_object(node)
        except (
            ValueError,
            yaml.constructor.ConstructorError,
        ) as error:  # such as 2024-13-01, or !!python/name
            if otherwise is not None:  # it may be a secret that looks like a date: it is not shown
                return otherwise
            reason = getattr(error, "problem", None) or error
            self._problem(node, f"not a valid value: {node.value!r} ({reason})")
            return None

    def _interpolate(self, node: yaml.ScalarNode, path: Path) -> str:
        return _REFERENCE.sub(lambda found: self._replacement(found, node, path), node.value)

    def _replacement(self, found: re.Match[str], node: yaml.Node, path: Path) -> str:
        name, default = found["name"], found["default"]
        if found["escaped"] is not None:
            return "$"
        if found["bad"]:
            self._problem(node, f"{dotted(path)}: `${{` opens a variable; write ${{NAME}}, or $${{ for the text")
            return ""
        value = self.environ.get(name)
        if value is None and default is None:
            self._problem(node, f"{dotted(path)}: the environment variable {name} is not set and has no default")
        return value or default or ""  # as in a shell, `:-` also replaces an empty value

    def _problem(self, node: yaml.Node, problem: str) -> None:
        self.problems.append((node.start_mark.line + 1, problem))


def dotted(path: Path) -> str:
    """Return a path as people write it: `indices.articles.fields.0.name`; parts that hold dots are quoted."""
    parts = (f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in path)
    return ".".join(parts) or "configuration"
