"""`sidecar models`, against a stand-in for the hub: the real one is not available in a test."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.scoring.models.catalog import CATALOG
from tests.checkpoints import make_checkpoint
from tests.test_reasons import free_port

_COMMIT = "a" * 40
_NAME = "someone/reranker"


class Hub:
    """As much of the hub's API as its client asks for: listings with hashes, and files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: set[str] = set()

    def info(self) -> dict[str, Any]:
        """Return a repository's description."""
        return {"id": _NAME, "sha": _COMMIT, "siblings": [self.entry(file) for file in self.files()]}

    def files(self) -> list[Path]:
        """Return the repository's files."""
        return sorted(file for file in self.folder.iterdir() if file.is_file())

    def entry(self, file: Path) -> dict[str, Any]:
        """Describe a file: large ones with a SHA-256, all with a git blob id."""
        raw = file.read_bytes()
        blob = hashlib.sha1(f"blob {len(raw)}\0".encode() + raw, usedforsecurity=False).hexdigest()
        found: dict[str, Any] = {"rfilename": file.name, "path": file.name, "type": "file"}
        found |= {"size": len(raw), "blobId": blob, "oid": blob}
        if file.suffix == ".safetensors":
            found["lfs"] = {"sha256": hashlib.sha256(raw).hexdigest(), "oid": hashlib.sha256(raw).hexdigest()}
            found["lfs"] |= {"size": len(raw), "pointerSize": 134}
        return found

    def content(self, name: str) -> bytes:
        """Return a file's bytes, with one flipped where the file is to be damaged on its way."""
        raw = bytearray((self.folder / name).read_bytes())
        if name in self.damaged:
            raw[-1] ^= 1
        return bytes(raw)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"/{_NAME}/resolve/"):
            self._file(path.rpartition("/")[2], body)
        elif path.startswith(f"/api/models/{_NAME}/tree/"):
            self._send(json.dumps([self.hub.entry(file) for file in self.hub.files()]).encode(), {}, body)
        elif path.startswith(f"/api/models/{_NAME}"):
            self._send(json.dumps(self.hub.info()).encode(), {}, body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _file(self, name: str, body: bool) -> None:
        entry = self.hub.entry(self.hub.folder / name)
        etag = entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"]
        self._send(self.hub.content(name), {"ETag": f'"{etag}"', "X-Repo-Commit": _COMMIT}, body)

    def _send(self, raw: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(200)
        for key, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(raw)


@contextmanager
def _serving(hub: Hub) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _sidecar(home: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "sidecar", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """A hub with one model."""
    return Hub(make_checkpoint(tmp_path / "repository"))


def test_pull_fetches_through_a_mirror_and_verifies(hub: Hub, tmp_path: Path) -> None:
    with _serving(hub) as endpoint:
        pulled = _sidecar(tmp_path / "home", endpoint, "models", "pull", _NAME)
    assert pulled.returncode == 0, pulled.stderr
    first, folder = pulled.stdout.splitlines()
    assert first == f"{_NAME}: {len(hub.files())} files, all as the hub has them"
    assert (Path(folder) / "model.safetensors").read_bytes() == hub.content("model.safetensors")
    assert "100%" in pulled.stderr  # the progress bar


def test_a_file_that_was_damaged_on_its_way_is_found(hub: Hub, tmp_path: Path) -> None:
    hub.damaged.add("model.safetensors")
    with _serving(hub) as endpoint:
        pulled = _sidecar(tmp_path / "home", endpoint, "models", "pull", _NAME)
    assert pulled.returncode == 3
    assert "model.safetensors is not what the hub has: delete" in pulled.stderr


def test_a_pulled_model_is_used_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    with _serving(hub) as endpoint:
        _sidecar(tmp_path / "home", endpoint, "models", "pull", _NAME)
    checked = _sidecar(tmp_path / "home", endpoint, "models", "check", _NAME)  # the hub is gone
    assert "head=one_logit" in checked.stdout
    assert "documents/s here" in checked.stdout


def test_a_name_that_the_hub_does_not_have(hub: Hub, tmp_path: Path) -> None:
    with _serving(hub) as endpoint:
        pulled = _sidecar(tmp_path / "home", endpoint, "models", "pull", "someone/else")
    assert pulled.returncode == 3
    assert "the hub has no model 'someone/else' for you (RepositoryNotFoundError): check its name" in pulled.stderr


_SERVE = [
    "serve",
    "--upstream",
    "http://127.0.0.1:9",
    "--field",
    "t",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
]


def test_a_start_that_requires_a_model_ends_without_one_and_says_the_ways_out(tmp_path: Path, hub: Hub) -> None:
    with _serving(hub) as endpoint:
        started = _sidecar(tmp_path / "home", endpoint, *_SERVE, "--require-model", "--model", "someone/else")
    assert started.returncode == 3
    *log, last = started.stderr.splitlines()
    assert last.startswith("sidecar: 'someone/else' is not on this machine, and the hub has no model 'someone/else'")
    for way in ("a local directory as engine.model", "`--model bundled`", "`sidecar models pull someone/else`"):
        assert way in last
    assert all(json.loads(line) for line in log)  # no line of the hub's client beside ours


def test_a_first_start_without_a_network_offers_the_bundled_model_by_name(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    started = _sidecar(tmp_path / "home", nowhere, *_SERVE, "--require-model")
    assert started.returncode == 3
    last = started.stderr.splitlines()[-1]
    assert "the hub could not be reached for 'cross-encoder/ms-marco-TinyBERT-L4'" in last
    assert "use the model that comes with the sidecar and needs no download: `--model bundled`" in last


def test_check_tells_speed_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "bundled"]) == 0
    told = capsys.readouterr().out
    assert "documents/s here" in told
    assert re.search(r"^  (onnx|torch) float32: [0-9.]+ ms for 1000 tokens(  <- runs)?$", told, re.MULTILINE)
    assert told.count("<- runs") == 1
    assert told.endswith("the relevant passage comes first\n")


def test_check_says_so_when_a_model_does_not_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = {main(["models", "check", str(make_checkpoint(tmp_path / str(seed), seed=seed))]) for seed in range(4)}
    assert 1 in codes  # random weights
    assert "the relevant passage does not come first" in capsys.readouterr().err


def test_list_names_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    told = capsys.readouterr().out
    for model in CATALOG:
        assert model.name in told


def test_the_list_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sidecar.commands.models._WIDE", 80)
    assert main(["models", "list"]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for model in CATALOG:
        [line] = [line for line in told.splitlines() if line.startswith(f"{model.name} ")]
        assert model.ndcg10 is None or f"{model.ndcg10:.2f}" in line
