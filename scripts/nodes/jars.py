"""Jars from Maven, laid out once under the user's cache as the distribution has them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_PROJECT = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>sidecar.tools</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
{content}</project>"""


class Refused(Exception):
    """Something is missing or in the way; the message says what to do."""


def major(version: str) -> int:
    """Return the major version."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"{version!r} is not a version such as 9.5.3")
    return int(version.split(".")[0])


def find_java(least: int) -> Path:
    """Find a JDK's `bin` of at least this version, the oldest that will do."""
    named = [os.environ.get(name) for name in ("NODE_JAVA_HOME", "JAVA_HOME")]
    homes = [Path(name) for name in named if name] + sorted(Path("/usr/lib/jvm").glob("*"))
    on_path = shutil.which("javac")
    homes += [Path(on_path).resolve().parent.parent] if on_path else []
    found = {home: java_version(home) for home in homes}
    good = [home for home, version in found.items() if version >= least]
    if good:
        return good[0] / "bin"
    newest = max(found.values(), default=0)
    there = f"the newest JDK here is {newest}" if newest else "there is none here"
    raise Refused(
        f"a JDK of version {least} or later is needed; {there}. `apt-get install openjdk-{least}-jdk-headless` or any "
        f"other JDK will do (NODE_JAVA_HOME names one)."
    )


def java_version(home: Path) -> int:
    """Return a JDK's major version, 0 when it is none."""
    if not (home / "bin" / "javac").exists():
        return 0
    printed = subprocess.run([home / "bin" / "javac", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)(?:\.\d+)*", printed.stdout + printed.stderr)
    return int(found[1]) if found else 0


def cache(product: str) -> Path:
    """Return the folder that a product's homes are laid out in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rescoring-sidecar" / product


def build(product: str, version: str, parts: Path, lay_out: Callable[[Path], None]) -> Path:
    """Lay a home out unless it is there; others that want the same one wait."""
    home = cache(product) / f"{version}-{hash_of(sorted(parts.iterdir())):08x}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            print(f"{product}: fetching the jars of {version} (once)", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
                lay_out(Path(scratch) / "home")
                (Path(scratch) / "home").rename(home)
    return home


def hash_of(files: list[Path]) -> int:
    """Return a number that changes with the files' contents."""
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


def fetch(targets: dict[Path, Sequence[str]], java: Path) -> list[Path]:
    """Copy artifacts (`group:name:version`) and what they need into a folder each; return the folders that have none.

    One run of Maven does them all: starting it takes longer than what it does.
    """
    if shutil.which("mvn") is None:
        raise Refused("Maven is needed to fetch the jars: `apt-get install maven`.")
    with tempfile.TemporaryDirectory() as scratch:
        projects = [_project(Path(scratch), number, *target) for number, target in enumerate(targets.items())]
        modules = "".join(f"<module>{project.name}</module>" for project in projects)
        _write_project(Path(scratch), "all", f"<modules>{modules}</modules>")
        command = ["mvn", "-q", "-B", "-fae", "-Dstyle.color=never", "-f", scratch, "dependency:copy-dependencies"]
        java_home = os.environ | {"JAVA_HOME": str(java.parent)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=java_home)
    empty = [folder for folder in targets if not any(folder.glob("*.jar"))]
    if done.returncode != 0 and (not empty or len(empty) == len(targets)):
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), "it printed nothing")
        raise Refused(f"Maven could not fetch {next(iter(targets.values()))[0]}: {said}")
    return empty


def _project(scratch: Path, number: int, target: Path, artifacts: Sequence[str]) -> Path:
    """Write a project that needs these artifacts and is copied to this folder."""
    parts = [dict(zip(("groupId", "artifactId", "version"), name.split(":"), strict=True)) for name in artifacts]
    needed = "".join(f"<dependency>{_tags(part)}</dependency>" for part in parts)
    content = f"<properties>{_tags({'outputDirectory': str(target)})}</properties>"
    return _write_project(
        scratch / f"part-{number}", f"part-{number}", f"{content}<dependencies>{needed}</dependencies>"
    )


def _tags(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _write_project(folder: Path, name: str, content: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pom.xml").write_text(_PROJECT.format(name=name, content=content))
    return folder


def compile_jar(source: Path, jar: Path, home: Path, java: Path, release: int) -> None:
    """Compile one Java file against the jars of a home."""
    with tempfile.TemporaryDirectory() as classes:
        javac: list[str | Path] = [
            "--release",
            str(release),
            "-nowarn",
            "-proc:none",
            "-cp",
            f"{home}/lib/*",
            "-d",
            classes,
            source,
        ]
        _run_tool([java / "javac", *javac])
        _run_tool([java / "jar", "cf", jar, "-C", classes, "."])


def write_descriptor(folder: Path, descriptor: dict[str, str]) -> None:
    """Write a module's descriptor."""
    lines = [f"{key}={value}\n" for key, value in descriptor.items()]
    (folder / "plugin-descriptor.properties").write_text("".join(lines))


def _run_tool(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"{Path(command[0]).name} failed: {done.stderr.strip()[:2000]}")
