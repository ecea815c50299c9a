"""A real Elasticsearch for the tests that need one, started once and only then; the backend of all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.config.model import Engine
from sidecar.scoring.local.backends.ways import Ways, ways
from sidecar.scoring.models.files import ModelFiles

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture(scope="session", autouse=True)
def _forced_backend() -> Iterator[None]:
    """Have `auto` choose what SIDECAR_TEST_BACKEND names (`torch` or `onnx`), for settings that it can run."""
    forced = os.environ.get("SIDECAR_TEST_BACKEND", "")
    assert forced in ("", "torch", "onnx"), f"SIDECAR_TEST_BACKEND is {forced!r}: use `torch` or `onnx`"
    cannot = {"torch": ("int8",), "onnx": ("bfloat16", "float16")}.get(forced, ())

    def forced_ways(files: ModelFiles, engine: Engine) -> Ways:
        open_ = engine.backend == "auto" and engine.device in ("auto", "cpu") and engine.dtype not in cannot
        return ways(files, engine.model_copy(update={"backend": forced}) if forced and open_ else engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecar.scoring.local.contest.ways", forced_ways)
        yield


@contextmanager
def running_node(version: str, data: Path, product: str = "elasticsearch") -> Iterator[str]:
    """Run a node of this version; a failure to start fails the tests, it does not skip them."""
    script = SCRIPTS / product
    command: list[str | Path] = [script, "--version", version, "--port", "0", "--data", data, "--background"]
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    if started.returncode != 0:
        pytest.fail(f"no {product} {version}: {started.stderr}", pytrace=False)
    try:
        yield started.stdout.strip()
    finally:
        subprocess.run([script, "--stop", data], check=True)


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Elasticsearch 9.x node, or of the one that SIDECAR_TEST_ELASTICSEARCH_URL names."""
    given = os.environ.get("SIDECAR_TEST_ELASTICSEARCH_URL")
    if given:
        yield given
        return
    with running_node("9.5.3", tmp_path_factory.mktemp("elasticsearch-9")) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_8_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Elasticsearch 8.19 node."""
    with running_node("8.19.21", tmp_path_factory.mktemp("elasticsearch-8")) as url:
        yield url


@pytest.fixture(scope="session")
def opensearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an OpenSearch 3.x node, or of the one that SIDECAR_TEST_OPENSEARCH_URL names."""
    given = os.environ.get("SIDECAR_TEST_OPENSEARCH_URL")
    if given:
        yield given
        return
    with running_node("3.8.0", tmp_path_factory.mktemp("opensearch-3"), "opensearch") as url:
        yield url


@pytest.fixture(scope="session")
def opensearch_2_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an OpenSearch 2.19 node."""
    with running_node("2.19.6", tmp_path_factory.mktemp("opensearch-2"), "opensearch") as url:
        yield url
