"""The image, as far as it can be shown without a Docker engine: its steps are replayed, its files checked.

Not shown here, for want of an engine: base images, users, the health check's timing.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.loader import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"


@dataclass(frozen=True)
class Instruction:
    """One instruction of one stage."""

    stage: str
    name: str
    words: str


def instructions() -> list[Instruction]:
    """Read the Dockerfile."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()))
    found, stage = [], ""
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, words = line.partition(" ")
        if name == "FROM":
            stage = words.rpartition(" AS ")[2]
        found.append(Instruction(stage, name, words.strip()))
    return found


def _copied() -> list[str]:
    copies = (each.words for each in instructions() if each.name == "COPY" and "--from" not in each.words)
    return [source for words in copies for source in words.split()[:-1]]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert _copied()
    for source in _copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source


def test_stages_copy_from_stages_and_the_default_target_is_cpu() -> None:
    stages = list(dict.fromkeys(each.stage for each in instructions() if each.stage))
    assert {"cpu", "gpu"} <= set(stages)
    assert stages[-1] == "cpu"
    for each in instructions():
        if each.name == "COPY" and "--from" in each.words:
            assert re.search(r"--from=(\S+)", each.words)[1] in stages  # type: ignore[index]  # it is there


def test_the_image_runs_without_root() -> None:
    [user] = [each.words for each in instructions() if each.name == "USER"]
    assert user == "10001:10001"


def test_the_compose_file_fits_the_image() -> None:
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    services = compose["services"]
    assert set(services) == {"elasticsearch", "sidecar", "sidecar-gpu"}
    for name, target in (("sidecar", "cpu"), ("sidecar-gpu", "gpu")):
        service = services[name]
        assert service["build"]["target"] == target
        assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DOCKERFILE)
        assert service["environment"]["ELASTICSEARCH_URL"] == "http://elasticsearch:9200"
        [port] = service["ports"]
        assert port.endswith(":9200")
        assert set(service["depends_on"]) <= set(services)
    used = {volume.partition(":")[0] for each in services.values() for volume in each["volumes"]}
    assert used == set(compose["volumes"])


def test_the_images_configuration_is_valid_and_listens_where_the_image_says() -> None:
    config = load(ROOT / "configs" / "docker.yaml", {"ELASTICSEARCH_URL": "http://elasticsearch:9200"})
    exposed = next(each.words for each in instructions() if each.name == "EXPOSE").split()
    assert exposed == [str(config.listen.port), str(config.admin.port)]
    [check] = [each.words for each in instructions() if each.name == "HEALTHCHECK"]
    assert f"http://127.0.0.1:{config.admin.port}/health/ready" in check


def _uv() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = shutil.which("uv") or cache / "rescoring-sidecar" / "tools" / "bin" / "uv"
    return Path(found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cpu target's RUN steps put the sidecar, from a copy of just the files that are copied."""
    work = tmp_path_factory.mktemp("build")
    for source in _copied():
        (shutil.copytree if (ROOT / source).is_dir() else _copy_file)(ROOT / source, work / source)
    target = work / "opt"
    path = f"{_uv().parent}:{os.environ['PATH']}"
    for each in instructions():
        if (
            each.name != "RUN"
            or each.stage not in ("build", "install-cpu")
            or "pip install --no-cache-dir" in each.words
        ):
            continue  # uv is here already
        step = each.words.replace("/opt/sidecar", str(target))
        ran = subprocess.run(  # noqa: S602 - what a RUN line is
            step, shell=True, cwd=work, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{each.words}\n{ran.stderr}"
    return target


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def test_the_replayed_image_runs_the_sidecar(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": f"{installed}/bin", "HOME": str(tmp_path)}
    arguments = ["check-config", str(ROOT / "configs" / "docker.yaml")]
    ran = subprocess.run(
        [str(installed / "bin" / "sidecar"), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "http://elasticsearch:9200" in ran.stdout


def test_the_replayed_image_carries_the_bundled_model(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sidecar.scoring.local.loaded as l; from sidecar.config.model import Engine, Model;"
        "m = l.load(Model(model='bundled'), Engine(model='bundled')); print(m.describe()['head']); m.scheduler.close()"
    )
    environment = {"PATH": f"{installed}/bin", "HOME": str(tmp_path)}
    command = [str(installed / "bin" / "python"), "-W", "error::ImportWarning", "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "one_logit"), ran.stderr


def test_the_wheel_holds_no_tests_and_no_scripts(installed: Path) -> None:
    packages = next(installed.glob("lib/python*/site-packages"))
    assert (packages / "sidecar" / "py.typed").exists()
    assert not (packages / "tests").exists()
    assert not (packages / "scripts").exists()
