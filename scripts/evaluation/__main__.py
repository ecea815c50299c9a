"""Measures BM25 and the sidecar on SciFact, movies and general questions; prints one table a collection.

    scripts/evaluate                      # all three: hours on a CPU; stop and start it as you like
    scripts/evaluate --limit 20           # a look: 20 queries each
    scripts/evaluate --collection scifact --model /models/mine --max-length 256

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

from evaluation.judged import COLLECTIONS, SEED, Judged, index
from sidecar.config.model import Config
from sidecar.errors import SidecarError
from sidecar.evaluation.asking.experiment import Experiment
from sidecar.evaluation.asking.systems import sweep, systems
from sidecar.evaluation.evaluate import Evaluation, evaluate
from sidecar.evaluation.measuring.measures import DEFAULTS
from sidecar.evaluation.showing import output, table
from sidecar.evaluation.showing.progress import bar

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
    add("--collection", action="append", choices=COLLECTIONS, help="repeat for several (default: all)")
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
    console = table.console()
    with _node(args) as url:
        for name in args.collection or COLLECTIONS:
            judged = COLLECTIONS[name](args.data)
            index(url, judged)
            evaluation = asyncio.run(_evaluate(judged, url, args))
            output.write(evaluation, args.output / name)
            console.print(table.summary(evaluation, f"{name}: {len(judged.documents)} documents"))
    return 0


async def _evaluate(judged: Judged, url: str, args: argparse.Namespace) -> Evaluation:
    mapping = {"fields": judged.fields, "timeout": "10m"}
    config = Config.model_validate(
        {
            "upstream": {"urls": [url]},
            "engine": {"model": args.model, "max_length": args.max_length},
            "indices": {judged.name: mapping},
        }
    )
    experiment = Experiment(
        config=config,
        index=judged.name,
        mapping=config.indices[judged.name],
        body=judged.body,
        queries=judged.sample(args.limit),
        systems=systems(sweep(args.sweep or _SWEEP), config.indices[judged.name], args.model),
        depth=100,
        latency_queries=args.latency_queries,
        concurrency=1,
    )
    return await evaluate(experiment, judged.qrels, DEFAULTS, args.output / judged.name, bar, ties=args.ties, seed=SEED)


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
