"""An evaluation from start to end: ask, measure, compare. What `sidecar eval` and `scripts/evaluate` run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from sidecar.errors import SidecarError
from sidecar.evaluation.about import about
from sidecar.evaluation.asking.experiment import Advance, Experiment, Task, config_timeout, run, tasks, timed_systems
from sidecar.evaluation.asking.journal import Answer, Journal
from sidecar.evaluation.asking.readers import Qrels
from sidecar.evaluation.asking.searching import searcher
from sidecar.evaluation.asking.systems import BASELINE
from sidecar.evaluation.measuring import results
from sidecar.evaluation.measuring.results import SystemResult, Ties
from sidecar.evaluation.measuring.statistics import Statistics

EXTREMES: Final = 10
"""How many queries of the largest gain, and of the largest loss, are shown with their hits."""

SHOWN: Final = 3
"""How many hits of such a query are shown."""


class Progress(Protocol):
    """Shows progress."""

    def __call__(self, known: int, total: int, *, anew: bool) -> AbstractContextManager[Advance]:
        """Return what advances it by one of ``total`` searches, ``known`` of which were asked by earlier runs.

        ``anew``: earlier runs asked nothing of use, because the settings have changed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured. ``systems`` starts with the baseline; ``answers`` are by system and query id.

    ``texts`` are what the model reads of the documents that the report shows, by document id. ``about`` says what ran.
    """

    experiment: Experiment
    qrels: Qrels
    measures: Sequence[str]
    ties: Ties
    systems: Sequence[SystemResult]
    answers: Mapping[str, Mapping[str, Answer]]
    texts: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def baseline(self) -> SystemResult:
        """Elasticsearch alone."""
        return self.systems[0]

    @property
    def best(self) -> SystemResult:
        """The best system through the sidecar by the first measure."""
        return max(self.systems[1:], key=lambda system: system.means[self.measures[0]].mean)


async def evaluate(
    experiment: Experiment,
    qrels: Qrels,
    measures: Sequence[str],
    folder: Path,
    progress: Progress,
    *,
    ties: Ties = "trec_eval",
    seed: int = 0,
) -> Evaluation:
    """Ask all, or what the journal in ``folder`` lacks, and measure.

    Raises:
        SidecarError: the index is missing or empty, a search is refused, nothing was found.
        UpstreamError: Elasticsearch does not answer.
        ModelError: a model is not available.
    """
    config = experiment.config
    async with searcher(config.upstream, experiment.api_key, config_timeout(config)) as direct:
        identity = await direct.identity(experiment.index)
        found = await _ask(experiment, tasks(experiment, identity), folder, progress)
        evaluation = _measured(experiment, qrels, measures, ties, seed, found)
        shown = _shown_documents(evaluation)
        texts = await direct.texts(experiment.index, shown, experiment.mapping)
        return replace(evaluation, texts=texts, about=about(experiment, await direct.version()))


async def _ask(experiment: Experiment, todo: Sequence[Task], folder: Path, progress: Progress) -> dict[Task, Answer]:
    with Journal(folder / "journal.jsonl") as known:
        done = sum(known.get(task.key) is not None for task in todo)
        with progress(done, len(todo), anew=bool(len(known) and not done)) as advance:
            await run(experiment, todo, known, advance)
        return {task: answer for task in todo if (answer := known.get(task.key)) is not None}


def _measured(
    experiment: Experiment,
    qrels: Qrels,
    measures: Sequence[str],
    ties: Ties,
    seed: int,
    found: Mapping[Task, Answer],
) -> Evaluation:
    ranking = {task: answer for task, answer in found.items() if not (task.timed and experiment.swept)}
    _refuse_nothing(ranking)
    answers = _by_system(ranking)
    statistics = Statistics(len(experiment.queries), seed)
    measured = [results.measured(name, each, qrels, measures, ties, statistics) for name, each in answers.items()]
    return Evaluation(
        experiment=experiment,
        qrels=qrels,
        measures=measures,
        ties=ties,
        systems=_compared(_with_latency(measured, found, experiment), statistics),
        answers=answers,
    )


def _shown_documents(evaluation: Evaluation) -> set[str]:
    """Return the documents that the report shows: the first hits of the queries gained and lost most."""
    found = results.gains(evaluation.baseline, evaluation.best, evaluation.measures[0])
    queries = [query for query, _ in (*found[:EXTREMES], *found[-EXTREMES:])]
    sides = [evaluation.answers[system.name] for system in (evaluation.baseline, evaluation.best)]
    return {document for query in queries for side in sides for document, _ in side[query].hits[:SHOWN]}


def _refuse_nothing(ranking: Mapping[Task, Answer]) -> None:
    if not any(answer.hits for task, answer in ranking.items() if task.system is None):
        raise SidecarError("no query found a single hit: does the body search the right fields of the right index?")


def _by_system(found: Mapping[Task, Answer]) -> dict[str, dict[str, Answer]]:
    answers: dict[str, dict[str, Answer]] = {BASELINE: {}}
    for task, answer in found.items():
        answers.setdefault(task.name, {})[task.query] = answer
    return answers


def _with_latency(
    measured: Sequence[SystemResult], found: Mapping[Task, Answer], experiment: Experiment
) -> list[SystemResult]:
    """Add each system's latency: its own, or that of the one that was timed with its model, fields and window."""
    timed = _by_system({task: answer for task, answer in found.items() if task.timed})
    alike = {(each.model, each.fields, each.window_size): each.name for each in timed_systems(experiment.systems)}
    stands_for = {each.name: alike[each.model, each.fields, each.window_size] for each in experiment.systems}
    out = []
    for system in measured:
        answers = list(timed.get(stands_for.get(system.name, BASELINE), {}).values())
        out.append(replace(system, latency=results.latency(answers), stages=results.mean_stages(answers)))
    return out


def _compared(measured: Sequence[SystemResult], statistics: Statistics) -> list[SystemResult]:
    baseline, *others = measured
    against = [results.comparisons(baseline, system, statistics) for system in others]
    adjusted = results.adjusted(against)
    return [baseline, *map(lambda s, a, p: replace(s, against=a, adjusted=p), others, against, adjusted)]
