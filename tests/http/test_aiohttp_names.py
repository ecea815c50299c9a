"""The private names of aiohttp: all that are used are listed, and the installed aiohttp has them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sidecar.http import aiohttp_names

ROOT = Path(__file__).parents[2]
KNOWN = {name: kind for kind in aiohttp_names.NAMES for name in aiohttp_names._private(kind)}


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted((ROOT / "sidecar").rglob("*.py")):
        tree = ast.parse(file.read_text())
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if file.stem != "aiohttp_names" and any(name.partition(".")[0] == "aiohttp" for name in modules):
            yield file, tree


def _used(tree: ast.Module) -> Iterator[str]:
    """Yield private attributes and methods of a module that aiohttp's classes have, too, and private names imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.bases:
            yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp"):
            yield from (alias.name for alias in node.names)


def test_every_private_name_of_aiohttp_that_is_used_is_listed() -> None:
    listed = frozenset[str]().union(*aiohttp_names.NAMES.values(), aiohttp_names.MODULE_NAMES)
    own = {"client": {"_session", "_body"}, "proxy": {"_headers", "_body"}}  # attributes of classes of ours
    used = set()
    for file, tree in _sources():
        private = {name for name in _used(tree) if name.startswith("_") and not name.startswith("__")}
        used |= (private & (set(KNOWN) | aiohttp_names.MODULE_NAMES)) - own.get(file.stem, set())
    assert used == listed


def test_the_installed_aiohttp_has_them_all() -> None:
    assert aiohttp_names.missing() == []


def test_an_aiohttp_without_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp_names, "NAMES", {web.Server: frozenset({"_kwargs", "_gone"})})
    monkeypatch.setattr(aiohttp_names, "MODULE_NAMES", frozenset({"_Gone"}))
    assert aiohttp_names.missing() == ["Server._gone", "_Gone"]


def test_aiohttp_is_pinned_below_the_next_minor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [pin] = [each for each in project["dependencies"] if each.startswith("aiohttp")]
    major, minor = aiohttp.__version__.split(".")[:2]
    assert pin == f"aiohttp>={major}.{minor},<{major}.{int(minor) + 1}"
