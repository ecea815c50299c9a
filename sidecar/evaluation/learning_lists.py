"""The lists that a model learns from: judged documents of each query, and hits that nobody judged."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sidecar.evaluation.asking import query_bodies
from sidecar.evaluation.asking.experiment import Experiment, config_timeout
from sidecar.evaluation.asking.readers import Qrels
from sidecar.evaluation.asking.searching import Searcher, searcher
from sidecar.training.groups import Group
from sidecar.training.sampling import groups_of, kept_out

_HITS = 40
_JUDGED = 200


async def lists(experiment: Experiment, qrels: Qrels, held_out: Sequence[str], seed: int) -> list[Group]:
    """Return the groups of the experiment's queries, texts read from Elasticsearch.

    Raises:
        SidecarError: the index is missing or empty, or a search is refused.
        UpstreamError: Elasticsearch does not answer.
    """
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    excluded = kept_out(held_out, qrels)
    found: list[Group] = []
    config = experiment.config
    async with searcher(config.upstream, experiment.api_key, config_timeout(config)) as direct:
        await direct.identity(experiment.index)
        for query, text in experiment.queries.items():
            found += await _of_query(experiment, direct, query, text, qrels, excluded, rng)
    return found


async def _of_query(
    experiment: Experiment,
    direct: Searcher,
    query: str,
    text: str,
    qrels: Qrels,
    excluded: set[str],
    rng: random.Random,
) -> list[Group]:
    answer = await direct.answer(experiment.index, query_bodies.plain(experiment.asked(query)))
    hits = [document for document, _ in answer.hits[:_HITS]]
    judged = sorted(qrels[query], key=lambda document: (-qrels[query][document], document))[:_JUDGED]
    texts = await direct.texts(experiment.index, {*judged, *hits}, experiment.mapping)
    return groups_of(text, qrels[query], hits, texts, excluded, rng)
