"""Replays a log: each search straight and through the sidecar, then compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.app import running
from sidecar.config.model import Config
from sidecar.errors import SidecarError, UpstreamError
from sidecar.evaluation.asking import journal
from sidecar.evaluation.asking.answers import outcome, stages
from sidecar.evaluation.asking.experiment import Advance, config_timeout, evaluated, own_listeners, workers
from sidecar.evaluation.asking.journal import Answer, Journal
from sidecar.evaluation.asking.searching import Searcher, searcher
from sidecar.evaluation.evaluate import Progress
from sidecar.evaluation.replay import log_changes
from sidecar.evaluation.replay.log_changes import Change, Log, Logged, Summary
from sidecar.rescoring.overrides import HEADERS

_REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay found: the summary and each search's change."""

    summary: Summary
    changes: Sequence[Change]


async def replayed(
    config: Config, log: Log, folder: Path, progress: Progress, *, api_key: str | None, concurrency: int
) -> Replayed:
    """Replay what the journal in ``folder`` lacks, and compare.

    Raises:
        SidecarError: Elasticsearch answered none of the searches.
        UpstreamError: it does not answer at all.
        ModelError: a model is not available.
    """
    identities = await _identities(config, log, api_key)
    keys = {logged.line: _key(config, logged, identities[logged.index]) for logged in log.searches}
    with Journal(folder / "journal.jsonl") as known:
        missing = [each for each in log.searches if known.get(f"{keys[each.line]}-through") is None]
        done = len(log.searches) - len(missing)
        with progress(done, len(log.searches), anew=bool(len(known) and not done)) as advance:
            if missing:
                await _replay(config, missing, keys, known, advance, api_key, concurrency)
        pairs = [(each, *_known(known, keys[each.line])) for each in log.searches]
    answered = [(s, d, t) for s, d, t in pairs if d and t and _REFUSED not in (d.outcome, t.outcome)]
    if not answered:
        raise SidecarError("Elasticsearch refused every search of the log: are its indices in this cluster?")
    changes = [log_changes.change(*each) for each in answered]
    direct, through = [each[1] for each in answered], [each[2] for each in answered]
    return Replayed(summary=log_changes.summary(changes, direct, through, log), changes=changes)


def _known(journal: Journal, key: str) -> tuple[Answer | None, Answer | None]:
    return journal.get(f"{key}-direct"), journal.get(f"{key}-through")


async def _identities(config: Config, log: Log, api_key: str | None) -> dict[str, object]:
    """Return the state of each index that is searched, so that answers of another state are not taken for its own."""
    found: dict[str, object] = {}
    async with searcher(config.upstream, api_key, config_timeout(config)) as direct:
        for index in {logged.index for logged in log.searches}:
            try:
                found[index] = await direct.identity(index)
            except UpstreamError:
                raise
            except SidecarError:  # no such index, or nothing in it: the searches themselves tell
                found[index] = None
    return found


def _key(config: Config, logged: Logged, identity: object) -> str:
    settings = config.model_dump(mode="json", include={"engine", "indices"})
    search = [logged.line, logged.method, logged.target, logged.body]
    return journal.key({"search": search, "index": identity, **settings})


async def _replay(
    config: Config,
    missing: Sequence[Logged],
    keys: dict[int, str],
    known: Journal,
    advance: Advance,
    api_key: str | None,
    concurrency: int,
) -> None:
    timeout = config_timeout(config) + max(mapping.timeout for mapping in config.indices.values())
    async with (
        running(sidecar_config(config)) as sidecar,
        searcher(config.upstream, api_key, timeout) as direct,
        searcher(config.upstream, api_key, timeout, sidecar.url) as through,
    ):

        async def both(number: int) -> None:
            logged = missing[number]
            sides = {"direct": direct, "through": through}
            # Who goes second finds Elasticsearch's caches warm: take turns.
            answers = {name: await _ask(sides[name], logged) for name in sorted(sides, reverse=number % 2 == 1)}
            for name, answer in answers.items():
                known.put(f"{keys[logged.line]}-{name}", answer)
            advance()

        await workers(range(len(missing)), both, concurrency)


async def _ask(side: Searcher, logged: Logged) -> Answer:
    """Ask one side; a search that Elasticsearch refuses is told as such: its index may be long gone."""
    try:
        seconds, response = await side.timed(logged.method, logged.target, logged.body, {HEADERS["explain"]: "true"})
    except UpstreamError:
        raise
    except SidecarError:
        return Answer(outcome=_REFUSED, seconds=0.0, hits=[])
    headers = {name.lower(): value for name, value in response.meta.headers.items()}
    hits, ranks = log_changes.page(response.body, logged.start)
    return Answer(outcome=outcome(headers), seconds=seconds, hits=hits, ranks=ranks, stages=stages(headers))


def sidecar_config(config: Config) -> Config:
    """Return the configuration of the sidecar that a log is replayed through."""
    indices = {pattern: evaluated(mapping) for pattern, mapping in config.indices.items()}
    return own_listeners(config).model_copy(update={"indices": indices})
