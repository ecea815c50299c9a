"""The official clients as small programs: what each needs, how it is built once, and how it is run.

Each program is given the URL of a sidecar, the URL of a sidecar whose Elasticsearch cannot be reached, and the name of
an index of its own. Through the types of its client it makes the same calls as the others, and prints one JSON object
of what it saw: `version`, `documents`, `search`, `features`, `msearch`, `scroll`, `pit` and `errors`. A part that ended
in an exception is `{"raised": ...}`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool of a language: a command that prints its version, and where to get it."""

    command: tuple[str, ...]
    least: tuple[int, ...]
    install: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """A client's program; without ``build`` steps it runs from the checkout, else from the folder of its build."""

    name: str
    run: tuple[str, ...]
    tools: tuple[Tool, ...] = ()
    build: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


NODE = "`apt-get install nodejs npm`, or Node.js from nodejs.org"
JDK = "`apt-get install openjdk-21-jdk-headless maven`"
GO = "`apt-get install golang-go`, or Go from go.dev/dl"
MODULE = "tests.end_to_end.clients.python"
# Small and quiet: what takes time in these programs is starting, not computing.
JAVA = ("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Unoptimised code compiles in a fraction of the time, and the client is a large one.
GO_BUILD = ("go", "build", "-gcflags=all=-N -l", "-o", "client", ".")

PROGRAMS = {
    program.name: program
    for program in (
        Program(name="python", run=(sys.executable, "-W", "error", "-m", f"{MODULE}.sync")),
        Program(name="python-async", run=(sys.executable, "-W", "error", "-m", f"{MODULE}.asynchronous")),
        Program(
            name="javascript",
            tools=(
                Tool(command=("node", "--version"), least=(20,), install=NODE),
                Tool(command=("npm", "--version"), least=(9,), install=NODE),
            ),
            build=(("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"),),
            run=("node", "client.mjs"),
        ),
        Program(
            name="java",
            tools=(
                Tool(command=("javac", "-version"), least=(17,), install=JDK),
                Tool(command=("mvn", "-version"), least=(3, 6), install=JDK),
            ),
            build=(
                ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"),
                ("javac", "-Xlint:all", "-cp", "lib/*", "-d", "classes", "-sourcepath", "src", "src/Client.java"),
            ),
            run=(*JAVA, "-cp", "classes:lib/*", "Client"),
        ),
        Program(
            name="go",
            tools=(Tool(command=("go", "env", "GOVERSION"), least=(1, 25), install=GO),),
            build=(GO_BUILD,),
            run=("./client",),
            environment={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"},
        ),
    )
}


def observe(program: Program, *arguments: str) -> Any:
    """Run a program, building it if need be, and give what it saw; skip where its language is not installed."""
    require(program)
    folder = built(program) if program.build else ROOT
    return json.loads(execute(program, [*program.run, *arguments], folder))


def require(program: Program) -> None:
    """Skip without the program's tools; in CI they must be there."""
    for tool in program.tools:
        found = version(tool)
        if found < tool.least:
            least, there = ".".join(map(str, tool.least)), ".".join(map(str, found)) or "none"
            message = f"{tool.command[0]} {least} or later is needed, {there} is here: {tool.install}"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)


def version(tool: Tool) -> tuple[int, ...]:
    """Return a tool's version; nothing where it is missing."""
    if shutil.which(tool.command[0]) is None:
        return ()
    printed = subprocess.run(tool.command, capture_output=True, text=True, check=False)
    found = re.search(r"(?<![\[\d])\d+(?:\.\d+)*", printed.stdout)  # after `[` it is a terminal's colour
    return tuple(map(int, found[0].split("."))) if found else ()


def built(program: Program) -> Path:
    """Return the folder of a program's build, made once for its sources and lock files; others that want it wait."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(base) / "rescoring-sidecar" / "clients"
    folder = cache / f"{program.name}-{hash_of(program):08x}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                made = Path(shutil.copytree(FOLDER / program.name, Path(scratch) / "made"))
                for step in program.build:
                    execute(program, step, made)
                made.rename(folder)
    return folder


def hash_of(program: Program) -> int:
    """Return a number that changes with the program's files and how they are built."""
    files = sorted(file for file in (FOLDER / program.name).rglob("*") if file.is_file())
    return zlib.crc32(b"".join([repr(program).encode(), *(file.read_bytes() for file in files)]))


def execute(program: Program, command: list[str] | tuple[str, ...], folder: Path) -> str:
    """Run a command and give what it printed; a failure fails the tests with what it said."""
    environment = os.environ | program.environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-3000:]
        pytest.fail(f"{program.name}: `{' '.join(command)}` ended with {done.returncode}: {said}", pytrace=False)
    return done.stdout
