"""List, fetch and check models.

sidecar models list                                    # the known ones, with the card's figures
sidecar models pull cross-encoder/ms-marco-TinyBERT-L4 # through HF_ENDPOINT and HTTPS_PROXY where they are set
sidecar models check DIR                               # loads it, scores a few pairs, tells its speed here
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sidecar.errors import ModelError

if TYPE_CHECKING:
    from sidecar.scoring import CrossEncoder

# A relevant passage, a related one, an unrelated one: any English cross-encoder orders them so.
_QUERY = "how do I extract files from a zip archive"
_PASSAGES = (
    "ZipFile.extractall(path) extracts all files from the zip archive to the current directory or to path.",
    "The zlib module compresses and decompresses data in memory; it does not read zip archives.",
    "The capital of France is Paris, which lies on the river Seine and has about two million inhabitants.",
)
_LAPS = ("ms_for_1000_tokens", "out")
_CAPTION = "nDCG@10 on TREC DL 2019, MRR@10 on MS MARCO dev, docs/s on a V100: as published"
_WIDE = 160  # columns of a table that goes to a file
_SHORT = {"parameters": "weights", "nDCG@10": "nDCG", "MRR@10": "MRR", "documents/s": "docs/s"}
_FULL = 120  # columns that the whole table needs
_ESSENTIAL = (0, 3, 5, 6, 7)  # name, parameters and figures: what 80 columns hold
_SPEED_PASSAGES = 100
_WORDS_OF_A_PASSAGE = 52  # about 68 tokens with the query, MS MARCO's mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `models`."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="list | pull | check")
    commands.add_parser("list", help="the known models")
    pull = commands.add_parser("pull", help="fetch a model and hold it against the hub's hashes")
    pull.add_argument("name", metavar="NAME", help="hub id")
    pull.add_argument("--revision", help="commit, tag or branch")
    check = commands.add_parser("check", help="load a model, score a few pairs, tell its speed")
    check.add_argument("name", metavar="MODEL", help="directory, hub id, or `bundled`")
    check.add_argument("--backend", default="auto", choices=("auto", "torch", "onnx"))
    check.add_argument("--device", default="auto")


def run(args: argparse.Namespace) -> int:
    """Run one of them.

    Raises:
        ModelError: the model is not available or cannot be used.
    """
    return {"list": _list, "pull": _pull, "check": _check}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    del args
    from rich.console import Console
    from rich.table import Table

    from sidecar.scoring.models.catalog import CATALOG, COLUMNS, row

    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    shown = range(len(COLUMNS)) if console.width >= _FULL else _ESSENTIAL
    table = Table(caption=_CAPTION, box=None, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left")
    for place in shown:
        table.add_column(_SHORT.get(COLUMNS[place], COLUMNS[place]), no_wrap=True)
    for model in CATALOG:
        cells = row(model)
        table.add_row(*(cells[place] for place in shown))
    console.print(table)
    return 0


def _pull(args: argparse.Namespace) -> int:
    from sidecar.scoring.models import hub

    try:
        folder = hub.download(args.name, args.revision)
        held = hub.verify(args.name, args.revision, folder)
    except ModelError:
        raise
    except Exception as problem:
        raise ModelError(
            f"{hub.why(args.name, problem)}; or give a local copy of the model's folder as engine.model"
        ) from problem
    print(f"{args.name}: {held} files, all as the hub has them\n{folder}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from sidecar.scoring import CrossEncoder

    with CrossEncoder(args.name, backend=args.backend, device=args.device) as encoder:
        for name, told in encoder.describe().items():
            print(name, *(f"{key}={value}" for key, value in told.items() if key not in _LAPS))
            for line in _laps(told):
                print(line)
        scores = encoder.predict([(_QUERY, passage) for passage in _PASSAGES]).tolist()
        for score, passage in zip(scores, _PASSAGES, strict=True):
            print(f"{score:9.4f}  {passage}")
        print(f"{speed(encoder):,.0f} documents/s here, for {_SPEED_PASSAGES} passages of one query")
    return _verdict(scores)


def _laps(told: Mapping[str, Any]) -> Iterator[str]:
    """Tell how each way to run the model went."""
    for way, milliseconds in told["ms_for_1000_tokens"].items():
        yield f"  {way}: {milliseconds:g} ms for 1000 tokens" + ("  <- runs" if way == told["way"] else "")
    for way, why in told["out"].items():
        yield f"  {way}: out, {why}"


def speed(encoder: CrossEncoder) -> float:
    """Return documents a second, the best of three, on texts that no cache has seen."""
    best = 0.0
    for turn in range(3):
        words = " ".join(_PASSAGES).split() * 3
        texts = [" ".join([*words[i % 20 :][:_WORDS_OF_A_PASSAGE], str(turn), str(i)]) for i in range(_SPEED_PASSAGES)]
        started = time.perf_counter()
        encoder.predict([(_QUERY, text) for text in texts])
        best = max(best, len(texts) / (time.perf_counter() - started))
    return best


def _verdict(scores: Sequence[float]) -> int:
    if scores[0] == max(scores) and scores[0] > scores[-1]:
        print("the relevant passage comes first")
        return 0
    print("the relevant passage does not come first: is this a cross-encoder for English passages?", file=sys.stderr)
    return 1
