"""An evaluation from start to end: ask, measure, compare. What `sidecar eval` and `scripts/evaluate` run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.errors import SidecarError
from sidecar.evaluation import results
from sidecar.evaluation.experiment import Advance, Experiment, Task, config_timeout, run, tasks, timed_systems
from sidecar.evaluation.journal import Answer, Journal
from sidecar.evaluation.readers import Qrels
from sidecar.evaluation.results import SystemResult, Ties
from sidecar.evaluation.searching import searcher
from sidecar.evaluation.systems import BASELINE

Progress = Callable[[int, int], AbstractContextManager[Advance]]
"""Shows progress: gets the number of searches known and of all; gives what advances it by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured. ``systems`` starts with the baseline; ``answers`` are by system and query id."""

    experiment: Experiment
    qrels: Qrels
    measures: Sequence[str]
    ties: Ties
    systems: Sequence[SystemResult]
    answers: Mapping[str, Mapping[str, Answer]]
    notes: Sequence[str] = field(default_factory=tuple)

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
        ModelError: a model cannot be had.
    """
    config = experiment.config
    async with searcher(config.upstream, experiment.api_key, config_timeout(config)) as direct:
        identity = await direct.identity(experiment.index)
    todo = tasks(experiment, identity)
    with Journal(folder / "journal.jsonl") as known:
        done = sum(known.get(task.key) is not None for task in todo)
        notes = [_stale(folder)] if len(known) and not done else []
        with progress(done, len(todo)) as advance:
            await run(experiment, todo, known, advance)
        found = {task: answer for task in todo if (answer := known.get(task.key)) is not None}
    ranking = {task: answer for task, answer in found.items() if not (task.timed and experiment.swept)}
    _refuse_nothing(ranking)
    answers = _by_system(ranking)
    measured = [results.measured(name, each, qrels, measures, ties, seed) for name, each in answers.items()]
    return Evaluation(
        experiment=experiment,
        qrels=qrels,
        measures=measures,
        ties=ties,
        systems=_compared(_with_latency(measured, found, experiment), seed),
        answers=answers,
        notes=notes,
    )


def _stale(folder: Path) -> str:
    return f"the settings are not those of the last run in {folder}: starting anew"


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


def _compared(measured: Sequence[SystemResult], seed: int) -> list[SystemResult]:
    baseline, *others = measured
    against = [results.comparisons(baseline, system, seed) for system in others]
    adjusted = results.adjusted(against)
    return [baseline, *map(lambda s, a, p: replace(s, against=a, adjusted=p), others, against, adjusted)]
