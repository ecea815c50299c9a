"""Try everything that a search needs here, and say what to expect: one line each.

    sidecar doctor sidecar.yaml
    sidecar doctor --upstream http://es:9200 --field title --model bundled

Takes what `serve` takes: is each port free, does the cluster answer, are the mapped fields there, does the model load,
how fast is it. Exit codes: 0 all is well (warnings allowed), 2 something is wrong.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from sidecar.commands import live_check
from sidecar.commands.live_check import Finding
from sidecar.commands.local_check import examine
from sidecar.commands.models import speed
from sidecar.commands.options import add_overrides, configuration, overrides
from sidecar.config.listeners import Listener
from sidecar.config.model import Config
from sidecar.errors import ConfigError, ModelError, UpstreamError
from sidecar.http.aiohttp_names import missing

_THINKING = 10.0
"""Seconds from one search of a user to the next."""
_VERSIONS = ("elasticsearch-rescoring-sidecar", "aiohttp", "onnxruntime", "torch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `doctor`."""
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="YAML file")
    parser.add_argument("--api-key", metavar="KEY", help="API key for the cluster (or set ELASTICSEARCH_API_KEY)")
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings and return the exit code.

    Raises:
        ConfigError: the configuration is wrong.
    """
    config, _ = configuration(args.config, overrides(args))
    wrong = False
    for finding in findings(config, args.api_key or os.environ.get("ELASTICSEARCH_API_KEY")):
        print(f"{finding.level:7} {finding.text}", flush=True)
        wrong = wrong or finding.level == "error"
    return 2 if wrong else 0


def findings(config: Config, api_key: str | None) -> Iterator[Finding]:
    """Yield what is found, as it is found."""
    yield Finding("ok", f"Python {platform.python_version()}, {', '.join(_installed())}")
    for name, listener in (("listen", config.listen), ("admin", config.admin)):
        yield _port(name, listener)
    if lost := missing():
        yield Finding("error", f"the installed aiohttp lacks {', '.join(lost)}: install the sidecar's own choice again")
    yield from examine(config)
    yield from _cluster(config, api_key)
    yield from _model(config)


def _installed() -> Iterator[str]:
    for package in _VERSIONS:
        try:
            yield f"{package.removeprefix('elasticsearch-rescoring-')} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


def _port(name: str, listener: Listener) -> Finding:
    """Try to listen, and stop at once."""
    if listener.socket is not None:
        return Finding("ok", f"{name}: unix:{listener.socket}")
    where = f"{name}: {listener.host}:{listener.port}"
    try:
        socket.create_server((listener.host, listener.port), family=_family(listener.host)).close()
    except OSError as problem:
        return Finding("error", f"{where}: {(problem.strerror or str(problem)).lower()}: choose another port")
    return Finding("ok", f"{where} is free")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _cluster(config: Config, api_key: str | None) -> Iterator[Finding]:
    """Ask every URL; the first that answers is asked about indices and fields, too."""
    asked = config
    for url in config.upstream.urls:
        try:
            found = live_check.check(asked, url.get_secret_value(), api_key)
        except (UpstreamError, ConfigError) as problem:
            yield Finding("error", f"upstream: {problem}")
            continue
        yield Finding("ok", f"upstream {url} answers")
        yield from (each for each in found if asked.indices or each.level == "ok")
        asked = config.model_copy(update={"indices": {}})


def _model(config: Config) -> Iterator[Finding]:
    """Load the default model, time it, and say what that means for searches."""
    from sidecar.scoring import CrossEncoder

    settings = {name: getattr(config.engine, name) for name in config.engine.model_fields_set - {"models", "model"}}
    try:
        with CrossEncoder(config.engine.model, **settings) as encoder:
            [told] = encoder.describe().values()
            rate = speed(encoder)
    except ModelError as problem:
        yield Finding("error", f"model: {problem}")
        return
    yield Finding("ok", f"model {config.engine.model}: {told.get('backend', 'torch')}, {told.get('dtype', '')}")
    yield from _expected(config, rate)


def _expected(config: Config, rate: float) -> Iterator[Finding]:
    yield Finding("ok", f"{rate:,.0f} passages of 68 tokens are scored in a second here, the query counted")
    for pattern, mapping in config.indices.items():
        seconds = mapping.window_size / rate
        users = int(_THINKING / seconds)
        level: Literal["ok", "warning"] = "warning" if seconds > mapping.timeout else "ok"
        late = ": more than `timeout` allows, so fewer hits are scored" if level == "warning" else ""
        text = f"indices.{pattern}: {mapping.window_size} hits take about {1000 * seconds:,.0f} ms{late}"
        yield Finding(level, f"{text}; carries about {users} users who search every {_THINKING:g} s")
