"""Measure the ranking before and after rescoring: with your judgments, or on logged searches without any.

    sidecar eval --queries queries.tsv --qrels qrels.txt --index articles --config sidecar.yaml
    sidecar eval --queries Q --qrels R --index articles --upstream http://es:9200 --field title --field body
    sidecar eval ... --sweep window_size=10,50,100 --sweep fusion=replace,rrf,linear:0.5
    sidecar eval --from-log searches.jsonl --config sidecar.yaml

Every query goes straight to Elasticsearch and through the sidecar's own pipeline, which runs for this only.
Stopped, it takes up where it was: what the folder of --output holds is not asked again. See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sidecar.commands.options import configuration
from sidecar.config.fusion import fitting
from sidecar.config.model import Config, IndexMapping
from sidecar.errors import ConfigError, InputError, StartupError
from sidecar.reasons import Reason
from sidecar.rescoring.mappings import match

if TYPE_CHECKING:
    from sidecar.evaluation.asking.experiment import Experiment
    from sidecar.evaluation.asking.readers import Qrels

_EXTRA = ("ir_measures", "scipy", "matplotlib")
_SHOWN = 5
Value = TypeVar("Value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval`."""
    add = parser.add_argument_group("what is asked").add_argument
    add("--queries", type=Path, metavar="FILE", help="TREC topics, BEIR JSON lines, CSV, or `id<TAB>text`")
    add("--qrels", type=Path, metavar="FILE", help="judgments: TREC, BEIR TSV, or CSV")
    add("--from-log", type=Path, metavar="FILE", help="logged searches instead of queries and judgments")
    add("--index", metavar="INDEX", help="index, alias or pattern that is searched")
    add("--body", type=Path, metavar="FILE", help='search body in which "{{query}}" stands for the text')
    add("--depth", type=_count, default=100, metavar="N", help="hits of each run (default: %(default)s)")
    add("--judged-only", action="store_true", help="only judged documents are found: orders judged lists")
    add("--limit", type=_count, metavar="N", help="a random sample of N judged queries")
    add = parser.add_argument_group("the sidecar").add_argument
    add("--config", type=Path, metavar="FILE", help="YAML configuration, as `serve` reads it")
    add("--upstream", metavar="URL", help="Elasticsearch's base URL")
    add("--field", metavar="NAME", action="append", help="document field to score; repeat for several, in order")
    add("--model", metavar="M", help="hub id, local directory, or `bundled`")
    add("--backend", choices=("auto", "torch", "onnx"), help="what runs the model")
    add("--timeout", default="10m", metavar="TIME", help="time allowed for scoring one search (default: %(default)s)")
    add("--api-key", metavar="KEY", help="API key for Elasticsearch (or set ELASTICSEARCH_API_KEY)")
    add = parser.add_argument_group("the measurement").add_argument
    add("--measure", action="append", metavar="M", help="as ir_measures names them; repeat; the first one decides")
    add("--sweep", action="append", default=[], metavar="AXIS=VALUES", help="window_size, fusion, model or fields")
    add("--ties", choices=("trec_eval", "answer"), default="trec_eval", help="how tied scores are ordered")
    add("--latency-queries", type=_count, default=50, metavar="N", help="queries a sweep times (default: %(default)s)")
    add("--concurrency", type=_count, default=1, metavar="N", help="queries at a time (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the sample and the resampling (default: %(default)s)")
    add("--output", type=Path, metavar="DIR", help="folder of the results (default: eval-results/INDEX)")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Evaluate, or replay a log.

    Raises:
        InputError: a file or a flag is wrong.
        ConfigError: the configuration is wrong, or covers not what is searched.
        StartupError: the extra `eval` is not installed, or a model is not available.
        SidecarError: Elasticsearch refuses the searches, or does not answer.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        extra = "pip install 'elasticsearch-rescoring-sidecar[eval]'"
        raise StartupError(f"eval needs the packages of the extra `eval` ({', '.join(missing)} missing): {extra}")
    return _replay(args) if args.from_log is not None else _evaluate(args)


def _evaluate(args: argparse.Namespace) -> int:
    absent = [flag for flag in ("queries", "qrels", "index") if getattr(args, flag) is None]
    if absent:
        flags = ", ".join(f"--{flag}" for flag in absent)
        raise InputError(f"{flags} missing: give --queries, --qrels and --index, or --from-log")
    from sidecar.evaluation.asking.systems import slug
    from sidecar.evaluation.default_body import with_default_body
    from sidecar.evaluation.evaluate import evaluate
    from sidecar.evaluation.showing import output, table
    from sidecar.evaluation.showing.progress import bar
    from sidecar.evaluation.showing.verdict import verdict

    experiment, qrels, measures, notes = prepared(args)
    folder = args.output or Path("eval-results") / slug(args.index)
    quiet()
    if args.body is None:
        experiment = asyncio.run(with_default_body(experiment, qrels, measures[0]))
    evaluation = asyncio.run(evaluate(experiment, qrels, measures, folder, bar, ties=args.ties, seed=args.seed))
    files = output.write(evaluation, folder)
    console = table.console()
    console.print(verdict(evaluation), markup=False)
    console.print(table.summary(evaluation, args.index))
    console.print(table.extremes(evaluation, _SHOWN))
    for note in (*notes, f"written: {files[0]}, {files[1]} and {len(files) - 2} TREC run files beside them"):
        console.print(note, markup=False)
    return 0


def prepared(args: argparse.Namespace) -> tuple[Experiment, Qrels, list[str], list[str]]:
    """Return the experiment, the judgments, the measures, and notes for the user; nothing is asked yet."""
    from sidecar.evaluation.asking import query_bodies, readers
    from sidecar.evaluation.asking.experiment import Experiment, named_model
    from sidecar.evaluation.asking.systems import sweep, systems
    from sidecar.evaluation.measuring import measures

    config, mapping = _mapped(args)
    names = args.measure or list(measures.DEFAULTS)
    for name in names:
        _checked(measures.parse, name)
    queries = _read(readers.queries, args.queries)
    qrels = _read(readers.qrels, args.qrels)
    chosen, notes = _judged(queries, qrels, args)
    model = mapping.model or config.engine.model
    experiment = Experiment(
        config=config,
        index=args.index,
        mapping=mapping,
        body={} if args.body is None else _read(query_bodies.template, args.body),
        queries=chosen,
        systems=systems(
            _checked(sweep, args.sweep), mapping, model, lambda name: fitting(named_model(config, name).model)
        ),
        depth=args.depth,
        latency_queries=args.latency_queries,
        concurrency=args.concurrency,
        api_key=_api_key(args),
        only={query: qrels[query].keys() for query in chosen} if args.judged_only else None,
    )
    return experiment, qrels, names, notes


def _mapped(args: argparse.Namespace) -> tuple[Config, IndexMapping]:
    """Return the configuration and the mapping of the index that is searched."""
    config = _configuration(args, args.index)
    found = match(config.indices, args.index.split(","))
    if isinstance(found, Reason):
        raise ConfigError([f"no mapping for {args.index!r} ({found}): give --field NAME, or a key of `indices`"])
    return config, found.mapping


def _configuration(args: argparse.Namespace, pattern: str) -> Config:
    over: dict[str, Any] = {}
    if args.upstream:
        over["upstream"] = {"urls": [args.upstream]}
    engine = {"model": args.model, "backend": args.backend}
    if any(engine.values()):
        over["engine"] = {name: value for name, value in engine.items() if value}
    if args.field:
        over["indices"] = {pattern: {"fields": args.field}}
    config, _ = configuration(args.config, over)
    if not config.indices:
        raise ConfigError(["nothing to rescore: give --config FILE with `indices`, or --field NAME"])
    mappings = {name: mapping.model_dump() | {"timeout": args.timeout} for name, mapping in config.indices.items()}
    try:
        checked = Config.model_validate({"indices": mappings, "engine": config.engine}).indices
    except ValueError as problem:
        raise InputError(f"--timeout {args.timeout}: expected a time such as 500ms, 2s or 10m") from problem
    return config.model_copy(update={"indices": checked})


def _judged(queries: dict[str, str], qrels: Qrels, args: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Return the queries that have judgments, or a sample of them, and what is left out."""
    both = [query for query in queries if query in qrels]
    if not both:
        examples = f"such as {next(iter(queries))!r} and {next(iter(qrels))!r}"
        raise InputError(f"no query of {args.queries} has judgments in {args.qrels}: their ids differ, {examples}")
    notes = []
    if len(both) < len(queries):
        notes.append(f"queries without judgments, not asked: {len(queries) - len(both)}")
    if len(both) < len(qrels):
        notes.append(f"judged queries whose text is not given: {len(qrels) - len(both)}")
    if args.limit is not None and args.limit < len(both):
        random.Random(args.seed).shuffle(both)  # noqa: S311 - a sample, no secret
        notes.append(f"a sample of {args.limit} of {len(both)} judged queries (--seed {args.seed})")
    return {query: queries[query] for query in both[: args.limit]}, notes


def _replay(args: argparse.Namespace) -> int:
    from sidecar.evaluation.replay import log_changes, replay_report
    from sidecar.evaluation.replay.replaying import replayed
    from sidecar.evaluation.showing.progress import bar
    from sidecar.evaluation.showing.table import console

    config = _configuration(args, args.index or "*")
    log = _read(log_changes.log, args.from_log)
    folder = args.output or Path("eval-results") / args.from_log.stem
    quiet()
    found = asyncio.run(replayed(config, log, folder, bar, api_key=_api_key(args), concurrency=args.concurrency))
    console().print(replay_report.table(found, args.from_log.name))
    for file in replay_report.write(found, args.from_log.name, folder):
        console().print(f"written: {file}", markup=False)
    return 0


def _read(reader: Callable[[str, str], Value], file: Path) -> Value:
    """Read a file with a pure reader of its text.

    Raises:
        InputError: it cannot be read, or is wrong.
    """
    try:
        return _checked(lambda text: reader(text, str(file)), file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as problem:
        raise InputError(f"{file}: not UTF-8 text") from problem
    except OSError as problem:
        raise InputError(f"{file}: {(problem.strerror or str(problem)).lower()}") from problem


def _checked(read: Callable[[Any], Value], given: Any) -> Value:
    try:
        return read(given)
    except UnicodeDecodeError:
        raise
    except ValueError as problem:
        raise InputError(str(problem)) from problem


def _api_key(args: argparse.Namespace) -> str | None:
    return args.api_key or os.environ.get("ELASTICSEARCH_API_KEY")


def quiet() -> None:
    """Keep other libraries' bars and log lines out of the results; what is not reranked is counted there."""
    for name in ("elastic_transport", "sidecar.search"):
        logging.getLogger(name).setLevel(logging.ERROR)
