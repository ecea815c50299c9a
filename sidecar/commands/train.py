"""Fine-tune a model on your own judgments, and measure it on queries that it did not see.

    sidecar train --queries Q --qrels R --index articles --upstream http://es:9200 --field title --save DIR
    sidecar train ... --model cross-encoder/ms-marco-MiniLM-L6-v2 --held-out 0.5

It starts from `--model` (default: that of --config, or `bundled`). A share of the queries is held out, and the
documents relevant to them are not learnt from; at the end the model before and after are measured on these, as by
`sidecar eval`. Nothing in the cluster is written. Stopped, it goes on from its last checkpoint. See docs/relevance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.commands import eval as evaluation
from sidecar.config.fusion import BUNDLED, fitting, told
from sidecar.errors import InputError, StartupError

if TYPE_CHECKING:
    from sidecar.evaluation.asking.experiment import Experiment
    from sidecar.evaluation.asking.readers import Qrels

_EXTRA = ("torch", "transformers", "ir_measures", "scipy", "matplotlib")
_FEWEST = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `train`: those of `eval`, and how to learn."""
    evaluation.add_arguments(parser)
    add = parser.add_argument_group("the training").add_argument
    add("--save", type=Path, metavar="DIR", required=True, help="folder of the trained model")
    add("--held-out", type=_share, default=0.3, metavar="S", help="share of the queries kept (default: %(default)s)")
    add("--passes", type=int, default=3, metavar="N", help="times that each list is learnt (default: %(default)s)")
    add("--learning-rate", type=float, default=3e-5, metavar="R", help="the highest (default: %(default)s)")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return value


def run(args: argparse.Namespace) -> int:
    """Train, write, measure.

    Raises:
        InputError: a file or a flag is wrong, or there are too few judged queries.
        StartupError: the extra `train` is not installed, or the model is not available.
        SidecarError: Elasticsearch refuses the searches, or does not answer.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        extra = "pip install 'elasticsearch-rescoring-sidecar[train]'"
        raise StartupError(f"train needs the packages of the extra `train` ({', '.join(missing)} missing): {extra}")
    if None in (args.queries, args.qrels, args.index):
        raise InputError("train needs judgments: give --queries, --qrels and --index")
    from sidecar.training.sampling import is_held_out

    if args.model is None and args.config is None:
        args.model = BUNDLED
    experiment, qrels, measures, _ = evaluation.prepared(args)
    evaluation.quiet()
    held_out = {query: text for query, text in experiment.queries.items() if is_held_out(text, args.held_out)}
    learnt = {query: text for query, text in experiment.queries.items() if query not in held_out}
    if min(len(held_out), len(learnt)) < _FEWEST:
        raise InputError(
            f"{len(learnt)} judged queries to learn from and {len(held_out)} held out: too few of one kind"
        )
    if args.body is None:
        from sidecar.evaluation.default_body import with_default_body

        training = asyncio.run(with_default_body(replace(experiment, queries=learnt), qrels, measures[0]))
        experiment = replace(experiment, body=training.body, chosen=training.chosen)
    _train(replace(experiment, queries=learnt), qrels, list(held_out), args)
    return _measure(replace(experiment, queries=held_out), qrels, measures, args)


def _train(experiment: Experiment, qrels: Qrels, held_out: list[str], args: argparse.Namespace) -> None:
    from sidecar.evaluation.asking.experiment import named_model
    from sidecar.evaluation.learning_lists import lists
    from sidecar.scoring.models.files import find
    from sidecar.training import checkpoints, learning

    wanted = named_model(experiment.config, experiment.systems[0].model)
    files = find(wanted.model, wanted.revision)
    model, tokenizer = checkpoints.read(files)
    groups = asyncio.run(lists(experiment, qrels, held_out, args.seed))
    if not groups:
        raise InputError("no judged document of the queries to learn from is in the index with text in its fields")
    print(f"learning from {len(groups)} lists of {len(experiment.queries)} queries, {args.passes} times")
    settings = learning.Settings(passes=args.passes, learning_rate=args.learning_rate, seed=args.seed)
    args.save.mkdir(parents=True, exist_ok=True)
    learning.learn(model, tokenizer, groups, settings, args.save, _tell)
    record = {
        "from": wanted.model,
        "revision": files.revision,
        "lists": len(groups),
        "queries": len(experiment.queries),
    }
    checkpoints.write(model, files, args.save, {**record, "passes": args.passes, "learning_rate": args.learning_rate})
    (args.save / "checkpoint.pt").unlink(missing_ok=True)


def _tell(step: int, of: int, loss: float) -> None:
    if step == of or step % max(1, of // 20) == 0:
        print(f"step {step} of {of}: loss {loss:.4f}", flush=True)


def _measure(experiment: Experiment, qrels: Qrels, measures: list[str], args: argparse.Namespace) -> int:
    from sidecar.evaluation.asking.experiment import named_model
    from sidecar.evaluation.asking.systems import systems
    from sidecar.evaluation.evaluate import evaluate
    from sidecar.evaluation.measuring.statistics import Statistics
    from sidecar.evaluation.showing import output, table
    from sidecar.evaluation.showing.progress import bar
    from sidecar.evaluation.showing.verdict import verdict

    before, after = experiment.systems[0].model, str(args.save)
    fits = experiment.mapping.fusion or fitting(named_model(experiment.config, before).model)
    axes: dict[str, list[Any]] = {"model": [before, after], "fusion": [fits]}
    experiment = replace(experiment, systems=systems(axes, experiment.mapping, before))
    folder = args.output or args.save / "evaluation"
    measured = asyncio.run(evaluate(experiment, qrels, measures, folder, bar, ties=args.ties, seed=args.seed))
    files = output.write(measured, folder)
    old, new = (list(system.values[measures[0]].values()) for system in measured.systems[1:])
    gain = Statistics(len(old), args.seed).compare(old, new)
    table.console().print(table.summary(measured, f"{experiment.index}: {len(old)} queries held out"))
    interval = table.interval(gain.difference, "+")
    print(verdict(measured))
    print(
        f"trained against untrained: {gain.difference.mean:+.4f} {measures[0]} ({interval}, p {gain.randomization:.3f})"
    )
    print(f"use it: engine.model: {args.save}, and in the mapping fusion: {told(fits)}; report: {files[0]}")
    return 0
