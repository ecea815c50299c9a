"""The command line: dispatch, exit codes, one message for each mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import cli
from sidecar.errors import StartupError, UpstreamError

HEAVY = ("torch", "transformers", "aiohttp", "elasticsearch", "numpy", "rich", "onnxruntime")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    for name in ("serve", "demo", "check-config", "doctor", "eval", "score", "models", "completion"):
        assert f"\n  {name} " in shown


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["chek-config"])
    assert caught.value.code == 2
    assert "unknown command 'chek-config'; did you mean 'check-config'?" in capsys.readouterr().err


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["help", "serve"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: sidecar serve ")
    with pytest.raises(SystemExit):
        cli.main(["help"])
    assert "commands:" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_flags_and_files(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("check-config", "--upstream", "--require-model", "compgen_files" if shell == "bash" else "_files"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("sidecar ")


@pytest.mark.parametrize(("error", "code"), [(StartupError("port 9200 is in use"), 3), (UpstreamError("refused"), 4)])
def test_errors_of_ours_are_one_message_and_their_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sidecar.commands import serve

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(serve, "run", fail)
    assert cli.main(["serve"]) == code
    assert capsys.readouterr().err == f"sidecar: {error}\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from sidecar.commands import serve

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "run", interrupted)
    assert cli.main(["serve"]) == 130


def test_a_missing_optional_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'ir_measures'", name="ir_measures")

    monkeypatch.setattr("importlib.import_module", missing)
    assert cli.main(["eval"]) == 3
    assert "eval needs the package 'ir_measures', which is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["check-config"], ["serve"]])
def test_light_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """Start-up time is what these imports cost; the clock of a busy machine proves nothing."""
    program = (
        "import sys\nfrom sidecar.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
