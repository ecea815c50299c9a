"""Print a script that completes the sidecar's commands, flags and files in a shell.

sidecar completion bash > ~/.local/share/bash-completion/completions/sidecar
sidecar completion zsh > "${fpath[1]}/_sidecar"
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import shtab

from sidecar.commands import COMMANDS, module_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `completion`."""
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(shtab.complete(_everything(), shell=args.shell))
    return 0


def _everything() -> argparse.ArgumentParser:
    """Return one parser of all commands; arguments that are paths complete as files."""
    parser = argparse.ArgumentParser(prog="sidecar")
    commands = parser.add_subparsers()
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        importlib.import_module(module_of(name)).add_arguments(command)
        for action in command._actions:  # shtab's own way of naming files
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser
