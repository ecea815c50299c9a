"""Run the sidecar in front of an Elasticsearch cluster.

    sidecar serve sidecar.yaml
    sidecar serve --upstream http://es:9200 --field title --field body

Flags win over the file. The file is watched: index mappings change without a restart.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sidecar.commands.options import add_overrides, configuration, overrides, refuse_loop
from sidecar.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `serve`."""
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="YAML file")
    add_overrides(parser)
    parser.add_argument(
        "--require-model",
        action="store_true",
        help="exit where the model is not available, instead of passing searches through and trying again",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops it.

    Raises:
        ConfigError: the configuration is wrong, or there is nothing to rescore.
        StartupError: a port is taken, or --require-model is given and the model is not available.
    """
    config, source = configuration(args.config, overrides(args))
    if not config.indices and args.config is None:
        raise ConfigError(["nothing to rescore: give a configuration file with `indices`, or --field NAME"])
    refuse_loop(config)
    from sidecar.workers import serving

    count = serving.worker_count(config)
    if count > 1:
        return serving.serve(config, source, count, require_model=args.require_model)
    from sidecar.app import serve

    return serve(config, source, require_model=args.require_model)
