"""The architecture, checked against the imports: which package may know which, what is pure, how long a module is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sidecar"
MODULES = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}

# What each package may import of the others, in an order in which none imports a later one.
_VALUES = {"cache", "errors", "reasons"}
_ALLOWED: dict[str, set[str]] = {
    "config": set(),
    "observing": set(),
    "elasticsearch": {"config"},
    "scoring": {"config"},
    "serving": {"config", "observing"},
    "rescoring": {"config", "elasticsearch", "observing", "scoring.scorer"},
    "http": {"config", "elasticsearch", "observing", "rescoring"},
    "signals": set(),
    "lifetime": {"config", "observing", "signals"},
    "app": {"config", "http", "lifetime", "observing", "rescoring", "scoring", "serving", "signals"},
    "workers": {"app", "config", "http", "lifetime", "observing", "scoring", "serving", "signals"},
    "training": {"config", "scoring"},
    "demo": {"app", "config", "elasticsearch"},
    "evaluation": {"app", "config", "elasticsearch", "rescoring", "scoring", "training"},
    "commands": {
        *("app", "config", "demo", "elasticsearch", "evaluation", "rescoring", "scoring", "training", "workers"),
        *("http.aiohttp_names", "http.tls"),
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}
_IMPURE = {
    "aiohttp",
    "asyncio",
    "elasticsearch",
    "huggingface_hub",
    "onnxruntime",
    "requests",
    "socket",
    "ssl",
    "subprocess",
    "time",
    "tokenizers",
    "torch",
    "transformers",
    "urllib.request",
    "yaml",
}
_PURE = (
    "elasticsearch.",
    "cache",
    "reasons",
    "config.fusion",
    "config.listeners",
    "config.model",
    "config.section",
    "config.units",
    "config.urls",
    "observing.families",
    "scoring.shared.wire",
    *(f"scoring.local.{name}" for name in ("admission", "batching", "speed")),
    "scoring.models.heads",
    "training.groups",
    "training.sampling",
    "evaluation.showing.verdict",
    *(f"http.{name}" for name in ("headers", "refusals", "balancing", "content_coding")),
    "evaluation.measuring.",
    *(f"evaluation.asking.{name}" for name in ("answers", "query_bodies", "readers", "systems")),
    "evaluation.replay.log_changes",
    "evaluation.showing.page",
    "rescoring.query_text.",
    *(
        f"rescoring.{name}"
        for name in (
            *("circuit_breaker", "documents", "explain", "first_stage", "html", "lookup", "mappings", "order"),
            *("overrides", "plan", "remembered", "rewrite", "scored", "sure", "unsuitable", "values", "window"),
        )
    ),
)
_PERFORMING = {"elasticsearch.connection"}


def _short(module: str) -> str:
    return module.removeprefix("sidecar.")


def _is_pure(module: str) -> bool:
    name = _short(module)
    return name.startswith(_PURE) and name not in _PERFORMING


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


def test_packages_form_no_cycle() -> None:
    known: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        part = _short(module).partition(".")[0]
        known.setdefault(part, set()).update({used.partition(".")[0] for used in _ours(file)} - {part})
    TopologicalSorter(known).prepare()  # raises CycleError, which names one


def test_a_module_s_name_is_used_once() -> None:
    names = Counter(_short(module).rpartition(".")[2] for module in MODULES)
    del names["__init__"]
    assert [name for name, count in names.items() if count > 1] == []


def test_one_module_knows_of_tls() -> None:
    assert [_short(module) for module, file in MODULES.items() if "ssl" in _imports(file)] == ["http.tls"]


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
