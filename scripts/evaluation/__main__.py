"""Measures BM25 and the sidecar on the judged collections and on generated probes; prints one table each.

    scripts/evaluate                      # all of them: hours on a CPU; stop and start it as you like
    scripts/evaluate --limit 20           # a look: 20 queries each
    scripts/evaluate --collection scifact --model /models/mine --max-length 256

`pairs` are 200 generated pairs of each kind that differ by a number, a unit or a negation alone: how many the model
orders right. `identifiers` and `verbose` are generated queries for codes, and of over 40 words.

Each collection is swept over fusions and windows. eval-results/NAME holds the report, the runs and the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from evaluation import judged, probes
from evaluation.judged import SEED, Judged, index
from sidecar.config.model import Config
from sidecar.errors import SidecarError
from sidecar.evaluation.asking.experiment import Experiment
from sidecar.evaluation.asking.systems import sweep, systems
from sidecar.evaluation.evaluate import Evaluation, evaluate
from sidecar.evaluation.measuring.measures import DEFAULTS
from sidecar.evaluation.showing import output, table
from sidecar.evaluation.showing.progress import bar
from sidecar.evaluation.showing.verdict import verdict
from sidecar.scoring import CrossEncoder

COLLECTIONS = {**judged.COLLECTIONS, "identifiers": probes.identifiers, "verbose": probes.verbose}
_PAIRS = "pairs"
_ROOT = Path(__file__).parents[2]
_SWEEP = (
    "window_size=10,20,50,100",
    "fusion=replace,rrf,linear:0.3,linear:0.5,linear:0.7,linear:0.9",
)


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"), help="the judged collections (default: %(default)s)")
    add("--collection", action="append", choices=[*COLLECTIONS, _PAIRS], help="repeat for several (default: all)")
    add("--model", default="bundled", help="hub id, local directory, or `bundled` (default)")
    add("--max-length", type=int, default=512, help="tokens of query and document (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="a seeded sample of N queries a collection")
    add("--sweep", action="append", metavar="AXIS=VALUES", help=f"as `sidecar eval`'s (default: {' '.join(_SWEEP)})")
    add("--latency-queries", type=int, default=50, metavar="N", help="queries that are timed (default: %(default)s)")
    add("--ties", choices=("trec_eval", "answer"), default="trec_eval", help="as `sidecar eval`'s")
    add("--elasticsearch", metavar="URL", help="a node to use; default: one of its own")
    add("--output", type=Path, default=Path("eval-results"), help="folder of all results (default: %(default)s)")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Measure each collection and print its table."""
    args = arguments(words)
    if not (args.data / "scifact" / "beir").is_dir():
        print(f"evaluate: {args.data} holds no judged collections: give their folder with --data DIR", file=sys.stderr)
        return 3
    names = args.collection or [_PAIRS, *COLLECTIONS]
    if _PAIRS in names:
        _print_pairs(args)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_node(args)) if names != [_PAIRS] else ""
        for name in (name for name in names if name != _PAIRS):
            _print_collection(name, url, args)
    return 0


def _print_collection(name: str, url: str, args: argparse.Namespace) -> None:
    collection, console = COLLECTIONS[name](args.data), table.console()
    index(url, collection)
    evaluation = asyncio.run(_evaluate(collection, url, args))
    output.write(evaluation, args.output / name)
    console.print(f"{name}: {verdict(evaluation)}", markup=False)
    console.print(table.summary(evaluation, f"{name}: {len(collection.documents)} documents"))


def _print_pairs(args: argparse.Namespace) -> None:
    with CrossEncoder(args.model, max_length=args.max_length) as encoder:
        for kind in probes.PAIRS:
            made = probes.pairs(kind)
            scores = encoder.predict([(pair.query, text) for pair in made for text in (pair.right, pair.wrong)])
            right = int((scores[::2] > scores[1::2]).sum())
            print(f"pairs that differ by {kind}: {right} of {len(made)} in the right order")


async def _evaluate(collection: Judged, url: str, args: argparse.Namespace) -> Evaluation:
    mapping = {"fields": collection.fields, "timeout": "10m"}
    config = Config.model_validate(
        {
            "upstream": {"urls": [url]},
            "engine": {"model": args.model, "max_length": args.max_length},
            "indices": {collection.name: mapping},
        }
    )
    experiment = Experiment(
        config=config,
        index=collection.name,
        mapping=config.indices[collection.name],
        body=collection.body,
        queries=collection.sample(args.limit),
        systems=systems(sweep(args.sweep or _SWEEP), config.indices[collection.name], args.model),
        depth=100,
        latency_queries=args.latency_queries,
        concurrency=1,
    )
    return await evaluate(
        experiment, collection.qrels, DEFAULTS, args.output / collection.name, bar, ties=args.ties, seed=SEED
    )


@contextlib.contextmanager
def _node(args: argparse.Namespace) -> Iterator[str]:
    """Yield a node's URL: the one given, or one whose data stays, so that what was asked stays known."""
    if args.elasticsearch:
        yield args.elasticsearch
        return
    data, script = (args.output / "elasticsearch").absolute(), _ROOT / "scripts" / "elasticsearch"
    words: list[str | Path] = [script, "--background", "--port", "0", "--data", data]
    started = subprocess.run(words, capture_output=True, text=True, check=False)
    if started.returncode:
        sys.exit(started.stderr.strip())
    try:
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([script, "--stop", data], check=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the node is stopped as after Ctrl-C
    try:
        sys.exit(main(sys.argv[1:]))
    except SidecarError as problem:
        print(f"evaluate: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
