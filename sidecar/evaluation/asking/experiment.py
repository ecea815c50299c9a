"""Asks every query of every system, skipping what the journal knows.

Two passes. The ranking pass scores each pair once: points of a sweep share the score cache, which tells nothing of
latency. The latency pass asks some queries again with no score cache, systems in turn. A single system needs no sweep,
hence no cache: its ranking pass is timed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sidecar.app import running
from sidecar.config.model import Config, IndexMapping, Lists, Model, Overrides
from sidecar.config.urls import BaseUrl
from sidecar.errors import SidecarError
from sidecar.evaluation.asking import journal, query_bodies
from sidecar.evaluation.asking.journal import Answer, Journal
from sidecar.evaluation.asking.searching import Searcher, searcher
from sidecar.evaluation.asking.systems import BASELINE, System, with_fields
from sidecar.scoring.models.files import find

_SCORE_CACHE: Final = 64 << 20  # one query's pairs are what has to fit
_WINDOWS: Final = 10_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is asked of whom. ``mapping`` is the index's; ``systems`` are without the baseline.

    ``queries`` are texts by id; ``latency_queries`` is how many of them the latency pass asks. ``only`` are the
    documents that each query may find, by query id; None is all. ``chosen`` tells how the body was chosen.
    """

    config: Config
    index: str
    mapping: IndexMapping
    body: Mapping[str, Any]
    queries: Mapping[str, str]
    systems: Sequence[System]
    depth: int
    latency_queries: int
    concurrency: int
    api_key: str | None = None
    only: Mapping[str, Collection[str]] | None = None
    chosen: str = ""

    def asked(self, query: str) -> dict[str, Any]:
        """Return the search body of a query, by its id."""
        body = self.body if self.only is None else query_bodies.only_judged(self.body, self.only[query])
        return query_bodies.filled(body, query, self.queries[query], self.depth)

    @property
    def swept(self) -> bool:
        """Whether several points share scores, so that only a pass of its own tells latencies."""
        return len(self.systems) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One search: ``system`` None is the baseline. ``key`` is the journal's."""

    key: str
    query: str
    system: System | None
    timed: bool

    @property
    def name(self) -> str:
        """The system's name."""
        return BASELINE if self.system is None else self.system.name


Advance = Callable[[], None]


def tasks(experiment: Experiment, identity: Mapping[str, Any]) -> list[Task]:
    """Return all searches of both passes, those of one query and sidecar together.

    Raises:
        ModelError: a model is not available.
    """
    found = []
    models = {name: _model_key(experiment.config, name) for name in {system.model for system in experiment.systems}}
    identity = {**identity, "models": models}
    ranking: list[System | None] = [None, *experiment.systems]
    for query, system in _by_sidecar(ranking, experiment.queries):
        found.append(_task(experiment, identity, query, system, timed=not experiment.swept))
    if experiment.swept:
        some = list(experiment.queries)[: experiment.latency_queries]
        for query, system in _by_sidecar([None, *timed_systems(experiment.systems)], some):
            found.append(_task(experiment, identity, query, system, timed=True))
    return found


def timed_systems(systems: Sequence[System]) -> list[System]:
    """Return one system of each model, fields and window: fusions are a few sums, and share its latency."""
    found = {(system.model, system.fields, system.window_size): system for system in reversed(systems)}
    return list(reversed(found.values()))


def _by_sidecar(systems: Sequence[System | None], queries: Sequence[str] | Mapping[str, str]) -> Any:
    """Yield (query, system) so that each sidecar is started once; the baseline is asked beside the first."""
    first = next((system for system in systems if system is not None), None)
    for _, some in itertools.groupby(systems, lambda system: _sidecar(system or first)):
        yield from itertools.product(queries, list(some))


def _sidecar(system: System | None) -> tuple[str, tuple[str, ...]] | None:
    return None if system is None else (system.model, system.fields)


def _task(
    experiment: Experiment, identity: Mapping[str, Any], query: str, system: System | None, *, timed: bool
) -> Task:
    parts: dict[str, Any] = {
        "index": [experiment.index, identity["uuids"], identity["documents"]],
        "body": experiment.asked(query),
        "concurrency": experiment.concurrency if timed else None,
    }
    if system is not None:
        parts |= {"system": [identity["models"][system.model], system.fields, system.override()]}
        parts |= {"engine": experiment.config.engine.model_dump(mode="json", exclude={"model", "models"})}
        parts |= {"mapping": experiment.mapping.model_dump(mode="json", exclude={"fields", "window_size", "fusion"})}
        parts |= {"labels": [spec.label for spec in with_fields(experiment.mapping, system.fields).fields]}
    return Task(key=journal.key(parts), query=query, system=system, timed=timed)


def _model_key(config: Config, name: str) -> dict[str, Any]:
    model = named_model(config, name)
    return {**model.model_dump(mode="json"), "files": find(model.model, model.revision).revision}


def named_model(config: Config, name: str) -> Model:
    """Return a model by its name in `engine.models`, by the default's id, or by any other id or directory."""
    engine = config.engine
    if name in engine.models:
        return engine.models[name]
    if name == engine.model:
        return Model(model=name, revision=engine.revision, head=engine.head)
    return Model(model=name)


async def run(experiment: Experiment, todo: Sequence[Task], known: Journal, advance: Advance) -> None:
    """Ask what the journal lacks; ``advance`` is called for each search.

    Raises:
        SidecarError: a search was refused, or something needed is not available.
    """
    missing = [task for task in todo if known.get(task.key) is None]
    first = experiment.systems[0]
    groups = itertools.groupby(missing, lambda task: (task.timed, _sidecar(task.system or first)))
    for (timed, _), some in groups:
        group = list(some)
        async with AsyncExitStack() as stack:
            await _run_group(experiment, group, known, advance, stack, timed=timed)


async def _run_group(
    experiment: Experiment, group: list[Task], known: Journal, advance: Advance, stack: AsyncExitStack, *, timed: bool
) -> None:
    config, timeout = experiment.config, experiment.mapping.timeout + config_timeout(experiment.config)
    direct = await stack.enter_async_context(searcher(config.upstream, experiment.api_key, timeout))
    through = direct
    system = next((task.system for task in group if task.system is not None), None)
    if system is not None:
        sidecar = await stack.enter_async_context(running(sidecar_config(experiment, system, cached=not timed)))
        through = await stack.enter_async_context(searcher(config.upstream, experiment.api_key, timeout, sidecar.url))
    ask = _asker(experiment, direct, through)
    if timed:  # the first search of a process pays for what later ones find ready
        for warm_up in _one_of_each_side(group):
            await ask(warm_up)
    await _all(group, ask, known, advance, experiment.concurrency)


def config_timeout(config: Config) -> float:
    """Return how long a client waits beyond the scoring itself, in seconds."""
    return config.upstream.connect_timeout + config.upstream.read_timeout


def _one_of_each_side(group: Sequence[Task]) -> list[Task]:
    """Return a search straight and one through, of the smallest window."""
    return list({task.system is None: task for task in group}.values())


def _asker(experiment: Experiment, direct: Searcher, through: Searcher) -> Any:
    async def ask(task: Task) -> Answer:
        body = experiment.asked(task.query)
        if task.system is None:
            return await direct.answer(experiment.index, query_bodies.plain(body))
        return await through.answer(experiment.index, query_bodies.rescored(body, task.system.override()))

    return ask


async def _all(group: Sequence[Task], ask: Any, known: Journal, advance: Advance, concurrency: int) -> None:
    """Ask all; a query's systems one after another, so that scores are shared."""
    queries = [list(some) for _, some in itertools.groupby(group, lambda task: task.query)]

    async def one(number: int) -> None:
        # Who goes second finds Elasticsearch's caches warm: take turns.
        for task in queries[number] if number % 2 == 0 else reversed(queries[number]):
            known.put(task.key, await ask(task))
            advance()

    await workers(range(len(queries)), one, concurrency)


async def workers(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Work on all items, in order, ``concurrency`` at a time; the first error of ours stops all.

    Raises:
        SidecarError: that error.
    """
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except* SidecarError as problems:
        raise problems.exceptions[0] from None


def sidecar_config(experiment: Experiment, system: System, *, cached: bool) -> Config:
    """Return the configuration of the sidecar that answers for ``system`` and others of its model and fields."""
    mapping = with_fields(evaluated(experiment.mapping), system.fields).model_copy(update={"model": None})
    names = [name for name in experiment.index.split(",") if not name.startswith("-")]
    config = own_listeners(experiment.config)
    model = named_model(config, system.model)
    chosen = model.model_dump(exclude_none=True) | {"revision": model.revision, "models": {}}
    engine = config.engine.model_copy(update={**chosen, "score_cache": _SCORE_CACHE if cached else 0})
    return config.model_copy(update={"engine": engine, "indices": dict.fromkeys(names, mapping)})


def evaluated(mapping: IndexMapping) -> IndexMapping:
    """Return the mapping as it is measured: rescoring for all, whatever its mode, and all overrides allowed."""
    return mapping.model_copy(update={"mode": "rescore", "overrides": Overrides(max_window_size=_WINDOWS)})


def own_listeners(config: Config) -> Config:
    """Return the configuration on free loopback ports, credentials taken out of the URLs (clients send them).

    Nothing is kept of lists: each search is measured.
    """
    loopback = {"host": "127.0.0.1", "port": 0}
    return config.model_copy(
        update={
            "listen": config.listen.model_copy(update=loopback),
            "admin": config.admin.model_copy(update=loopback),
            "upstream": config.upstream.model_copy(
                update={"urls": tuple(BaseUrl(url.base) for url in config.upstream.urls)}
            ),
            "on_failure": "pass",
            "lists": Lists(ttl=0),
        }
    )
