"""What is said where a client's language is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.clients.programs import PROGRAMS, require

TOOLS = [name for name, program in PROGRAMS.items() if program.tools]


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", TOOLS)
def test_a_missing_language_is_skipped_with_what_to_install(
    name: str, only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"or later is needed, none is here: `apt-get install [\w -]+`"):
        require(PROGRAMS[name])


@pytest.mark.parametrize("name", TOOLS)
def test_a_missing_language_fails_in_ci(name: str, only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        require(PROGRAMS[name])


def test_an_old_tool_is_a_missing_one(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    (only / "node").write_text("#!/bin/sh\necho v18.19.1\n")
    (only / "node").chmod(0o755)
    with pytest.raises(pytest.fail.Exception, match=r"^node 20 or later is needed, 18\.19\.1 is here: "):
        require(PROGRAMS["javascript"])
