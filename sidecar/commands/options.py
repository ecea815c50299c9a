"""Command-line flags that stand over the configuration file, shared by the commands that build a Config."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.config.loader import loads
from sidecar.config.model import Config
from sidecar.config.reload import ConfigSource
from sidecar.config.urls import split_listener
from sidecar.errors import ConfigError

_OWN_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - compared, not bound
_ANY_INDEX = "*"


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the flags; each wins over the same key of the file."""
    add = parser.add_argument
    add("--upstream", metavar="URL", action="append", help="Elasticsearch's base URL; repeat for several")
    add(
        "--index",
        metavar="PATTERN",
        default=_ANY_INDEX,
        help="index that --field is about (default: %(default)s)",
    )
    add(
        "--field",
        metavar="NAME",
        action="append",
        help="document field to score; repeat for several, in order",
    )
    add("--model", metavar="M", help="hub id, local directory, or `bundled`")
    add("--listen", metavar="HOST:PORT", type=listener, help="where clients connect")
    add("--admin", metavar="HOST:PORT", type=listener, help="where health and metrics are served")


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the flags as the nested keys they stand for; those not given are left out."""
    given: dict[str, Any] = {"listen": args.listen, "admin": args.admin}
    if args.upstream:
        given["upstream"] = {"urls": args.upstream}
    if args.model:
        given["engine"] = {"model": args.model}
    if args.field:
        given["indices"] = {args.index: {"fields": args.field}}
    return {key: value for key, value in given.items() if value is not None}


def configuration(
    file: Path | None, over: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> tuple[Config, ConfigSource | None]:
    """Return the configuration, and its file as a source to watch where there is one.

    Raises:
        ConfigError: it is wrong.
    """
    if file is None:
        return loads("", environ, "command line", over), None
    source = ConfigSource(file, environ, over)
    return source.load(), source


def refuse_loop(config: Config) -> None:
    """Refuse to forward to our own listener.

    Raises:
        ConfigError: an upstream URL is where the sidecar itself listens.
    """
    own_hosts = {*_OWN_HOSTS, config.listen.host}
    for url in config.upstream.urls:
        parts = urlsplit(url.base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if port == config.listen.port and parts.hostname in own_hosts:
            problem = f"upstream {url} is where the sidecar itself would listen"
            raise ConfigError([f"{problem}; set another port, as in `--listen 9201`"])


def listener(text: str) -> dict[str, Any]:
    """Read `HOST:PORT`, `[IPv6]:PORT` or `PORT`."""
    try:
        return split_listener(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem
