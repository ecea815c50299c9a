"""The search that rescoring is compared with where the user gives none: the best of Elasticsearch's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from sidecar.errors import SidecarError, UpstreamError
from sidecar.evaluation.asking import query_bodies
from sidecar.evaluation.asking.experiment import Experiment, config_timeout
from sidecar.evaluation.asking.readers import Qrels
from sidecar.evaluation.asking.searching import Searcher, searcher
from sidecar.evaluation.measuring import measures


async def with_default_body(experiment: Experiment, qrels: Qrels, measure: str) -> Experiment:
    """Return the experiment with the default body that ranks best by ``measure``, and how it was chosen.

    Raises:
        SidecarError: Elasticsearch refuses all of them, or the index is missing.
        UpstreamError: Elasticsearch does not answer.
    """
    bodies = query_bodies.defaults([spec.name for spec in experiment.mapping.fields])
    if len(bodies) == 1:
        [(name, body)] = bodies.items()
        return replace(experiment, body=body, chosen=name)
    config = experiment.config
    async with searcher(config.upstream, experiment.api_key, config_timeout(config)) as direct:
        await direct.identity(experiment.index)
        means = {
            name: await _mean(replace(experiment, body=body), qrels, measure, direct) for name, body in bodies.items()
        }
    known = {name: mean for name, mean in means.items() if isinstance(mean, float)}
    if not known:
        raise next(iter(mean for mean in means.values() if isinstance(mean, SidecarError)))
    best = max(known, key=lambda name: known[name])
    return replace(experiment, body=bodies[best], chosen=_told(best, known))


def _told(best: str, means: Mapping[str, float]) -> str:
    others = ", ".join(f"{name} {mean:.4f}" for name, mean in means.items() if name != best)
    return f"{best}, the best of Elasticsearch's own" + (f" (the others: {others})" if others else "")


async def _mean(experiment: Experiment, qrels: Qrels, measure: str, direct: Searcher) -> float | SidecarError:
    """Return the mean of all queries, or why Elasticsearch refuses this kind of search on these fields."""
    found: dict[str, Any] = {}
    try:
        for query in experiment.queries:
            found[query] = (await direct.answer(experiment.index, query_bodies.plain(experiment.asked(query)))).hits
    except UpstreamError:
        raise
    except SidecarError as problem:
        return problem
    values = measures.per_query({query: qrels[query] for query in found}, found, [measure])
    return fmean(values[measure].values())
