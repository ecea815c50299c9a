"""`sidecar doctor` and what `check-config` looks for on this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sidecar import cli
from sidecar.commands import local_check
from sidecar.config.loader import loads


def test_a_port_in_use_and_a_cluster_that_does_not_answer_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as gone:
        nobody, port = gone.getsockname()[1], taken.getsockname()[1]
        gone.close()
        words = ["--upstream", f"http://127.0.0.1:{nobody}", "--field", "t", "--model", "/none"]
        assert cli.main(["doctor", *words, "--listen", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0"]) == 2
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if line.startswith("error")]
    assert any("address already in use" in line and line.endswith(": choose another port") for line in errors)
    assert any("does not answer" in line for line in errors)
    assert any("'/none' is not a directory on this machine" in line for line in errors)


def test_all_that_a_search_needs_is_tried(elasticsearch_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--upstream", elasticsearch_url, "--index", "no-such-index-*", "--field", "title", "--model", "bundled"]
    assert cli.main(["doctor", *words, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "aiohttp 3.",
        "listen: 127.0.0.1:0 is free",
        "upstream: Elasticsearch ",
        "no such index",
        "model bundled: ",
    ):
        assert part in shown
    assert "100 hits take about" in shown


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        ("listen: {tls: {cert_file: /none.pem}}", "error", "listen.tls: "),
        ("upstream: {tls: {ca_file: /none.pem}}", "error", "upstream.tls: "),
        ("engine: {model: ./none}", "error", "the model './none' is not a directory on this machine"),
        ("engine: {model: a/b/c}", "error", "neither a directory here nor a hub id such as owner/name"),
        ("engine: {model: some/reranker}", "warning", "sidecar models pull some/reranker"),
    ],
)
def test_what_the_configuration_names_is_looked_for_here(
    text: str, level: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    whole = text if text.startswith("engine") else f"engine: {{model: bundled}}\n{text}"
    file.write_text(f"indices: {{a: {{fields: t}}}}\n{whole}\n")
    assert cli.main(["check-config", str(file), "--quiet"]) == (2 if level == "error" else 0)
    [line] = [each for each in capsys.readouterr().err.splitlines() if "fusion" not in each]
    assert line.startswith(level)
    assert said in line


def test_a_device_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = loads("engine: {model: bundled, device: 'cuda:0'}", {})
    [finding] = local_check.examine(config)
    assert finding.level == "error"
    assert "engine.device: cuda:0 needs the extra `torch`" in finding.text
