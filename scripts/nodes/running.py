"""One node as a process: started in the foreground or in the background, waited for, stopped."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nodes.jars import Refused, build, find_java


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is one product's own.

    Attributes:
        name: of the script and of the folder under the cache.
        version, versions: the default one, and what the help says of others.
        parts: the folder of Java sources and settings.
        least_java: the JDK that a version needs.
        lay_out: lays out a home: folder, version, the JDK's `bin`.
        command: the JVM's command line: home, version, the JDK's `bin`, heap, settings.
        instead: what a user without Maven or a JDK can do.
    """

    name: str
    version: str
    versions: str
    parts: Path
    least_java: Callable[[str], int]
    lay_out: Callable[[Path, str, Path], None]
    command: Callable[[Path, str, Path, str, dict[str, str]], list[str]]
    instead: str


def main(product: Product, says: str | None) -> int:
    """Run a product's script; every failure is one message and exit code 3."""
    args = _arguments(product, says)
    try:
        if args.stop:
            stop(args.stop)
            return 0
        java = find_java(product.least_java(args.version))
        home = build(product.name, args.version, product.parts, lambda to: product.lay_out(to, args.version, java))
        return 0 if args.build_only else _run(product, args, home, java)
    except Refused as problem:
        print(f"{product.name}: {problem}\n{product.instead}", file=sys.stderr)
        return 3


def _arguments(product: Product, says: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default=product.version, help=f"{product.versions} (default: {product.version})")
    parser.add_argument("--port", type=int, default=9200, help="HTTP port; 0 takes a free one (default: 9200)")
    parser.add_argument("--data", type=Path, help="data directory (default: a new temporary one)")
    parser.add_argument("--heap", default="512m", help="Java heap (default: 512m)")
    parser.add_argument("--setting", action="append", default=[], metavar="KEY=VALUE", help="a node setting")
    parser.add_argument("--background", action="store_true", help="return once the node answers, printing its URL")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for the node (default: 120)")
    parser.add_argument("--build-only", action="store_true", help="only lay the jars out")
    parser.add_argument("--stop", type=Path, metavar="DATA", help="stop the background node of this data directory")
    return parser.parse_args()


def _run(product: Product, args: argparse.Namespace, home: Path, java: Path) -> int:
    """Start the node: in the foreground for good, or in the background until it answers."""
    port = args.port or free_port()
    if args.port and is_taken(port):
        raise Refused(
            f"port {port} is in use by another process: stop it, or choose another with --port (0: a free one)"
        )
    data = args.data or Path(tempfile.mkdtemp(prefix=f"{product.name}-data-"))
    data.mkdir(parents=True, exist_ok=True)
    settings = _settings(port, data) | dict(setting.split("=", 1) for setting in args.setting)
    command = product.command(home, args.version, java, args.heap, settings)
    if not args.background:
        os.execv(command[0], command)
    with (data / "node.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    (data / "node.pid").write_text(str(process.pid))
    _wait(process, port, data, args.timeout)
    print(f"http://127.0.0.1:{port}", flush=True)
    return 0


def _settings(port: int, data: Path) -> dict[str, str]:
    """Return the settings of every node."""
    return {
        "network.host": "127.0.0.1",
        "http.port": str(port),
        "transport.port": str(free_port()),
        "path.data": str(data),
        "path.logs": str(data / "logs"),
        "discovery.type": "single-node",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }


def options() -> list[str]:
    """Return the JVM's options; NODE_JAVA_OPTS (maybe empty) replaces those that halve the start."""
    chosen = os.environ.get("NODE_JAVA_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC").split()
    plain = ("-Dfile.encoding=UTF-8", "-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true")
    return [*chosen, *plain, "-Dio.netty.noUnsafe=true"]


def shared_classes(home: Path, version: int) -> list[str]:
    """Share loaded classes between starts: from the second one on the node is up in about half the time."""
    file = f"-XX:SharedArchiveFile={home}/classes-{version}.jsa"
    return ["-XX:+AutoCreateSharedArchive", file] if version >= 19 else []


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Return whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(process: subprocess.Popen[bytes], port: int, data: Path, timeout: float) -> None:
    """Wait until the cluster answers, or say what its log says."""
    ends = time.monotonic() + timeout
    health = f"http://127.0.0.1:{port}/_cluster/health?wait_for_status=yellow&timeout=5s"
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    stop(data)
    last = (data / "node.log").read_text(errors="replace").splitlines()[-15:]
    raise Refused("the node did not start; the end of its log:\n" + "\n".join(last))


def stop(data: Path) -> None:
    """Stop a background node: SIGTERM, then wait, then SIGKILL."""
    pid_file = data / "node.pid"
    if not pid_file.exists():
        raise Refused(f"no node was started with --background --data {data}")
    pid = int(pid_file.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        if not _ended(pid, 30):
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    pid_file.unlink(missing_ok=True)


def _ended(pid: int, seconds: float) -> bool:
    """Wait for a process's end; return whether it came. Raises ProcessLookupError when it is gone."""
    ends = time.monotonic() + seconds
    stat = Path(f"/proc/{pid}/stat")
    while time.monotonic() < ends:
        os.kill(pid, 0)
        if stat.exists() and stat.read_text().split(")")[-1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False
