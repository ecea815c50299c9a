"""The architecture, held against the imports: which part may know which, what is pure, how long a module is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sidecar"
MODULES = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}

# What each part may import of the others; `_VALUES` are values that all may.
_VALUES = {"cache", "config.model", "config.urls", "errors", "events", "reasons", "upstream_types"}
_ALLOWED: dict[str, set[str]] = {
    "__main__": {"cli"},
    "cli": set(),
    "commands": {"app", "config", "proxy.tls", "demo", "evaluation", "scoring", "search"},
    "demo": {"app", "elasticsearch"},
    "elasticsearch": {"config"},
    "evaluation": {"app", "config", "elasticsearch", "rescoring", "scoring", "search", "proxy"},
    "app": {"signals", "config", "observability", "proxy", "rescorer", "scoring"},
    "proxy": {"rescorer", "rescoring", "search"},
    "observability": set(),
    "signals": set(),
    "rescorer": {"config", "rescoring", "scoring.types", "search"},
    "rescoring": {"config", "resilience", "scoring.types", "search"},
    "scoring": set(),
    "resilience": set(),
    "search": set(),
    "config": {"search", "scoring.catalog"},
}
_IMPURE = {
    "aiohttp",
    "asyncio",
    "elasticsearch",
    "huggingface_hub",
    "onnxruntime",
    "requests",
    "socket",
    "subprocess",
    "time",
    "tokenizers",
    "torch",
    "transformers",
    "urllib.request",
    "yaml",
}
_PURE = ("search.", "resilience.", "config.model", "config.urls", "config.match", "scoring.batching", "scoring.heads")
_PURE_PROXY = ("proxy.headers", "proxy.refusals", "proxy.balancing", "proxy.content_coding")
_PURE_EVALUATION = {
    f"evaluation.{name}"
    for name in ("answers", "bodies", "measures", "page", "readers", "replay", "results", "statistics", "systems")
}


def _short(module: str) -> str:
    return module.removeprefix("sidecar.")


def _is_pure(module: str) -> bool:
    return _short(module).startswith((*_PURE, *_PURE_PROXY)) or _short(module) in _PURE_EVALUATION


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def _ours(file: Path) -> set[str]:
    return {_short(name) for name in _imports(file) if name in MODULES and name.startswith("sidecar.")}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_dependencies_point_one_way(module: str) -> None:
    part = _short(module).partition(".")[0]
    if part in ("__init__", *_VALUES):
        return
    allowed = _ALLOWED[part]
    for used in _ours(MODULES[module]):
        root = used.partition(".")[0]
        assert root == part or used in _VALUES | allowed or root in allowed, f"{module} imports {used}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_values_know_nothing_else(module: str) -> None:
    if _short(module) in _VALUES:
        assert _ours(MODULES[module]) <= _VALUES


@pytest.mark.parametrize("module", sorted(filter(_is_pure, MODULES)))
def test_what_decides_performs_nothing(module: str) -> None:
    used = {name for name in _imports(MODULES[module]) if name in _IMPURE or name.partition(".")[0] in _IMPURE}
    assert not used


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_stay_short(module: str) -> None:
    lines = MODULES[module].read_text().count("\n")
    assert lines < 300, f"{module} has {lines} lines: split it"


@pytest.mark.parametrize("module", ["sidecar.commands.check_config", "sidecar.cli", "sidecar.config.loader"])
def test_what_must_start_fast_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'onnxruntime'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
