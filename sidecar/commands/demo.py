"""See BM25 and rescored hits side by side, on a real Elasticsearch.

    sidecar demo                                        # Python's standard library documentation
    sidecar demo --query "how do I compress a file"
    sidecar demo --file my.jsonl --text-field body --query "..."
    sidecar demo --keep                                 # leave it running, with a curl line to try

Starts an Elasticsearch of its own, or uses --upstream URL, where it makes one index `sidecar-demo-...`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError, UpstreamError

if TYPE_CHECKING:
    from sidecar.demo.collection import Collection
    from sidecar.demo.session import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `demo`."""
    add = parser.add_argument
    add("--query", action="append", default=[], metavar="TEXT", help="a question to ask; repeat for several")
    add("--file", type=Path, help="your own documents: JSONL or CSV, one document a line")
    add(
        "--text-field",
        default="text",
        metavar="NAME",
        help="field of --file with the text (default: %(default)s)",
    )
    add("--title-field", metavar="NAME", help="field of --file with a title")
    add(
        "--size",
        type=int,
        default=5,
        choices=range(1, 21),
        metavar="N",
        help="hits shown (default: %(default)s)",
    )
    add("--model", default="bundled", help="hub id, local directory, or `bundled` (default)")
    add("--upstream", metavar="URL", help="a cluster of yours, instead of starting one")
    add("--api-key", metavar="KEY", help="API key for --upstream (or set ELASTICSEARCH_API_KEY)")
    add("--keep", action="store_true", help="stay running after the questions, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        SidecarError: something needed is not available.
    """
    started = time.monotonic()
    from elasticsearch import ApiError, TransportError
    from elasticsearch.helpers import BulkIndexError
    from rich.console import Console

    from sidecar.demo.session import demo

    _quiet()
    try:
        return asyncio.run(demo(_collection(args), _options(args), Console(), started))
    except asyncio.CancelledError:  # Ctrl-C or SIGTERM, after everything was stopped
        return 130
    except BulkIndexError as error:
        raise SidecarError(f"Elasticsearch refused documents: {error}") from error
    except (ApiError, TransportError) as error:
        raise UpstreamError(f"Elasticsearch: {error}") from error


def _collection(args: argparse.Namespace) -> Collection:
    from sidecar.demo.collection import own_file, standard_library

    if args.file is None:
        return standard_library(args.query)
    return own_file(args.file, args.text_field, args.title_field, args.query)


def _options(args: argparse.Namespace) -> Options:
    from sidecar.demo.session import Options

    return Options(
        upstream=args.upstream,
        api_key=args.api_key or os.environ.get("ELASTICSEARCH_API_KEY"),
        model=args.model,
        size=args.size,
        keep=args.keep,
    )


def _quiet() -> None:
    """Keep other libraries' bars and log lines out of the demo's picture."""
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
