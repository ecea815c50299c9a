"""Validate a configuration and print what is in effect, as YAML with every default filled in.

    sidecar check-config sidecar.yaml
    sidecar check-config --upstream sidecar.yaml                     # also ask the configured cluster
    sidecar check-config sidecar.yaml --upstream https://me:pw@es:9200

TLS files, the device and the models are looked for here; with --upstream each mapped index and field in the live
cluster, too: one line each, on stderr.
Exit codes: 0 all is well (warnings allowed), 2 the configuration is wrong, 4 the cluster does not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sidecar.commands import live_check
from sidecar.commands.live_check import Finding
from sidecar.commands.local_check import examine
from sidecar.commands.options import configuration
from sidecar.config.model import Config
from sidecar.config.reload import NOTHING_MAPPED

_CONFIGURED = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check-config`."""
    add = parser.add_argument
    add("config", nargs="?", type=Path, metavar="FILE", help="YAML file; without it, the defaults")
    add(
        "--upstream",
        metavar="URL",
        nargs="?",
        const=_CONFIGURED,
        help="ask the cluster (default: the file's own)",
    )
    add("--api-key", metavar="KEY", help="API key for --upstream (or set ELASTICSEARCH_API_KEY)")
    add("--quiet", action="store_true", help="do not print the configuration")
    add("--schema", action="store_true", help="print the JSON schema of configuration files, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Check, print, and give the exit code.

    Raises:
        ConfigError: the configuration is wrong.
        UpstreamError: the cluster does not answer.
    """
    if args.schema:
        from sidecar.commands.reference import schema_text

        print(schema_text(), end="")
        return 0
    if args.config is None and args.upstream and "://" not in args.upstream:
        args.config, args.upstream = Path(args.upstream), _CONFIGURED  # `check-config --upstream FILE`
    config, _ = configuration(args.config, {})
    if not args.quiet:
        print(effective(config), end="")
    found = [] if args.config is None else list(examine(config))
    if not config.indices and args.upstream is None:
        found.append(Finding("warning", NOTHING_MAPPED))
    found += [Finding("ok", f"indices.{name}: fusion {fusion}") for name, fusion in config.fusions_told().items()]
    if args.upstream is not None:
        found += _asked(config, args)
    for finding in found:
        print(f"{finding.level:7} {finding.text}", file=sys.stderr)
    return 2 if any(finding.level == "error" for finding in found) else 0


def effective(config: Config) -> str:
    """Return the configuration as YAML, defaults filled in, passwords hidden, durations in seconds."""
    import yaml

    shown = config.model_dump(mode="json")
    text: str = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100)
    return text


def _asked(config: Config, args: argparse.Namespace) -> list[Finding]:
    key = args.api_key or os.environ.get("ELASTICSEARCH_API_KEY")
    return live_check.check(config, args.upstream or config.upstream.urls[0].get_secret_value(), key)
