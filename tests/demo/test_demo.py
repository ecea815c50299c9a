"""The whole demo against a real Elasticsearch, with a small checkpoint."""

import json
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from sidecar import cli
from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    rows = [{"body": f"note {n} about foxes and dogs number {n * 7 % 11}", "title": f"N{n}"} for n in range(30)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def demo(elasticsearch_url: str, checkpoint: Path, *words: str) -> int:
    return cli.main(["demo", "--upstream", elasticsearch_url, "--model", str(checkpoint), *words])


def test_a_persons_own_file(
    elasticsearch_url: str, checkpoint: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--file", str(notes), "--text-field", "body", "--title-field", "title", "--size", "4"]
    assert demo(elasticsearch_url, checkpoint, *words, "--query", "which dogs", "--query", "foxes") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "which dogs" in shown
    assert "30/30" in shown
    assert "reranked; window=100" in shown
    assert "2 of 2 searches rescored" in shown
    with Elasticsearch(elasticsearch_url) as client:
        assert not client.indices.exists(index="sidecar-demo-notes")


def test_the_standard_library(elasticsearch_url: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(elasticsearch_url, checkpoint, "--query", "copy a directory tree", "--size", "1") == 0
    assert "1 of 1 searches rescored" in capsys.readouterr().out


def test_an_index_that_no_demo_made_is_left_alone(
    elasticsearch_url: str, checkpoint: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Elasticsearch(elasticsearch_url) as client:
        client.index(index="sidecar-demo-notes", id="1", document={"precious": True}, refresh=True)
        try:
            words = ["--file", str(notes), "--text-field", "body", "--query", "q"]
            assert demo(elasticsearch_url, checkpoint, *words) == 1
            assert "was not made by this demo; it is left alone" in capsys.readouterr().err
            assert client.count(index="sidecar-demo-notes")["count"] == 1
        finally:
            client.indices.delete(index="sidecar-demo-notes")


def test_an_upstream_that_does_not_answer(checkpoint: Path, notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--file", str(notes), "--text-field", "body", "--query", "q"]
    assert demo("http://127.0.0.1:1", checkpoint, *words) == 4
    error = capsys.readouterr().err
    assert error.startswith("sidecar: Elasticsearch: ")
    assert error.count("\n") == 1


def test_check_config_against_a_real_cluster(
    elasticsearch_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("indices: {checked: {fields: [title, titel, n]}, 'absent-*': {fields: [x]}, gone: {fields: [x]}}")
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.create(
            index="checked", mappings={"properties": {"title": {"type": "text"}, "n": {"type": "integer"}}}
        )
        try:
            assert cli.main(["check-config", str(path), "--quiet", "--upstream", elasticsearch_url]) == 2
        finally:
            client.indices.delete(index="checked")
    told = capsys.readouterr().err.splitlines()
    version = _version(elasticsearch_url)
    assert told[told.index(f"ok      upstream: Elasticsearch {version}") + 1 :] == [
        "ok      indices.checked: checked: title (text)",
        "error   indices.checked: checked: titel: no such field; did you mean 'title'?",
        "error   indices.checked: checked: n: holds integer, not text",
        "warning indices.absent-*: no such index, alias or data stream",
        "error   indices.gone: no such index, alias or data stream",
    ]


def _version(url: str) -> str:
    with Elasticsearch(url) as client:
        return str(client.info()["version"]["number"])
