"""The documentation, checked against the code: links, dependencies, reasons, metrics."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sidecar.observing.metrics import Metrics
from sidecar.observing.records import RescoreRecord, SearchStart, ShadowRecord
from sidecar.rescoring.overrides import HEADERS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    text = (ROOT / "docs" / "architecture.md").read_text()
    for dependency in wanted:
        name = re.match(r"[\w-]+", dependency)
        assert name is not None
        assert f"`{name[0]}`" in text, f"{name[0]} is not explained"


def test_every_metric_is_documented() -> None:
    metrics = Metrics()
    with metrics.search(SearchStart(endpoint="search", headers={})) as tell:
        tell(RescoreRecord(outcome="reranked", mapping="m", model="b"))
    metrics.shadow(ShadowRecord(mapping="m", kendall_tau=1.0, overlap_at_10=1.0, seconds=0.1))
    names = re.findall(r"(?m)^# TYPE (\w+) ", metrics.render().decode())
    text = (ROOT / "docs" / "operations.md").read_text()
    for name in names:
        assert name.endswith("_created") or f"`{name}`" in text, f"{name} is not documented"


def test_every_override_is_documented() -> None:
    text = (ROOT / "docs" / "elasticsearch-compatibility.md").read_text()
    for name, header in HEADERS.items():
        assert f"| `{name}` | `{header}` |" in text, f"{name} is not documented"


def test_no_page_names_this_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/work/|/tmp/|\.\./shared/DESIGN", page.read_text()), page.name


def test_drawings_name_what_exists() -> None:
    drawings = re.findall(r"(?s)```mermaid\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text())
    assert len(drawings) == 4
    for drawing in drawings:
        names = re.findall(r"\b[a-z_]+(?:/[a-z_]+)+\b", drawing)
        assert names
        for name in names:
            assert (ROOT / "sidecar" / f"{name}.py").is_file(), f"{name} is drawn and does not exist"
