"""The scripts that start real nodes: what they say when they cannot."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def said(script: str, *words: str, **environment: str) -> str:
    """Run a script that must refuse with exit code 3; return what it says."""
    done = subprocess.run(
        [SCRIPTS / script, *words], capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert (done.returncode, done.stdout) == (3, "")
    return done.stderr


@pytest.mark.parametrize("script", ["elasticsearch", "opensearch"])
def test_what_cannot_start_says_what_to_do(script: str, tmp_path: Path) -> None:
    assert "'latest' is not a version such as" in said(script, "--version", "latest")
    assert "no node was started with --background --data" in said(script, "--stop", str(tmp_path))
    assert "--upstream URL" in said(script, "--stop", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} is in use by another process" in said(script, "--port", port)


def test_a_machine_without_maven_is_told_so(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    text = said("opensearch", "--version", "3.8.0", PATH=str(tools), XDG_CACHE_HOME=str(tmp_path))
    assert "Maven is needed" in text or "a JDK of version 21 or later is needed" in text
