"""The command line: parse, dispatch, and turn errors into one message and an exit code. Nothing more.

A command's module is imported only when it runs, so that `--help` and `check-config` never pay for torch.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from sidecar.commands import COMMANDS, module_of
from sidecar.errors import SidecarError, StartupError

_PROGRAM = "sidecar"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; errors of ours become one message on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except SidecarError as error:
        print(f"{_PROGRAM}: {error}" if "\n" not in str(error) else error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        _top_level().parse_args(words)
        _top_level().print_help()
        return 0
    if words[0] == "help":  # `sidecar help serve` is `sidecar serve --help`
        return _dispatch([*words[1:2], "--help"])
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        _unknown(name)
    command = _load(name)
    parser = argparse.ArgumentParser(
        prog=f"{_PROGRAM} {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(rest)))


def _load(name: str) -> ModuleType:
    """Import a command. A missing optional package is named; a bug in our own imports is not hidden."""
    try:
        return importlib.import_module(module_of(name))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", _PROGRAM):
            raise
        raise StartupError(f"{name} needs the package {missing!r}, which is not installed") from error


def _unknown(name: str) -> NoReturn:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    _top_level().error(f"unknown command {name!r}{hint} (commands: {', '.join(COMMANDS)})")


def _top_level() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {about}" for name, about in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        usage=f"{_PROGRAM} [-h] [--version] COMMAND ...",
        description="Rescores Elasticsearch's hits with a cross-encoder, behind Elasticsearch's own API.",
        epilog=f"commands:\n{commands}\n\n`{_PROGRAM} COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("elasticsearch-rescoring-sidecar")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
