"""Logged searches, asked again straight and through the sidecar: what changed, without judgments. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from sidecar.elasticsearch.target import parameters
from sidecar.evaluation.asking.answers import RERANKED
from sidecar.evaluation.asking.journal import Answer
from sidecar.evaluation.measuring.results import Latency, latency, mean_stages
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.explain import RANK
from sidecar.rescoring.order import kendall_tau, overlap

TOP: Final = 10
_FORM: Final = '{"index": ..., "body": {...}} or {"method": ..., "path": ..., "body": {...}}'


@dataclass(frozen=True, slots=True)
class Logged:
    """One logged search. ``target`` is path and query; ``line`` is its place in the log."""

    line: int
    method: str
    target: str
    body: dict[str, Any] | None

    @property
    def index(self) -> str:
        """Return the index expression that is searched."""
        found = route(self.method, self.target)
        return "*" if found is None or found.index is None else found.index

    @property
    def start(self) -> int:
        """Return the page's first place in the list, from 0."""
        asked = parameters(self.target).get("from", (self.body or {}).get("from", 0))
        return int(asked) if str(asked).isdecimal() else 0


@dataclass(frozen=True, slots=True)
class Log:
    """The searches of a log, and how many of its lines are other requests."""

    searches: list[Logged]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What rescoring did to one page. ``shift`` is the mean rank change of its first ``TOP`` hits.

    It and ``kendall_tau`` are of the hits now on the page; None where nothing was reranked.
    """

    line: int
    search: str
    outcome: str
    overlap_at_10: float
    kendall_tau: float | None
    shift: float | None
    new_top: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All changes. The means are over reranked searches that found something."""

    searches: int
    others: int
    refused: int
    outcomes: dict[str, int]
    compared: int
    overlap_at_10: float | None
    kendall_tau: float | None
    shift: float | None
    new_top: float | None
    direct: Latency | None
    through: Latency | None
    stages: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def log(text: str, name: str) -> Log:
    """Read a log of one JSON object a line.

    Raises:
        ValueError: a line is of neither form, or no line is a search; the message names file and line.
    """
    lines = [(n, line) for n, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1) if line.strip()]
    found = [_logged(line, number, f"{name}:{number}") for number, line in lines]
    searches = [each for each in found if _is_search(each.method, each.target)]
    if not searches:
        raise ValueError(f"{name}: no search in it; expected lines of {_FORM}")
    return Log(searches, len(found) - len(searches))


def _body(given: Any) -> dict[str, Any] | None:
    """Return a body; logs hold it as an object or as its text."""
    found = (json.loads(given) if given.strip() else None) if isinstance(given, str) else given
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"the body is a {type(found).__name__}")
    return found


def _logged(line: str, number: int, where: str) -> Logged:
    try:
        row = json.loads(line)
        path, index = row.get("path"), row.get("index")
        if isinstance(path, str):
            method, target = str(row.get("method") or "POST").upper(), "/" + path.lstrip("/")
            is_search = _is_search(method, target)
            return Logged(number, method, target, _body(row.get("body")) if is_search else None)
        body = _body(row.get("body"))
    except (ValueError, AttributeError) as problem:
        raise ValueError(f"{where}: expected {_FORM}: {problem}") from problem
    names = ",".join(index) if isinstance(index, list) else index
    if not isinstance(names, str) or not isinstance(body, dict):
        raise ValueError(f"{where}: expected {_FORM}, found keys {', '.join(row) or 'none'}")
    return Logged(number, "POST", f"/{quote(names, safe='*,<>')}/_search", body)


def change(logged: Logged, direct: Answer, through: Answer) -> Change:
    """Compare the two pages of one search."""
    before, after = ([document for document, _ in answer.hits] for answer in (direct, through))
    ranks = dict(zip(after, through.ranks, strict=True)) if through.outcome == RERANKED else {}
    places = {document: place for place, document in enumerate(after, start=logged.start + 1)}
    as_found: list[str] = sorted(after, key=lambda document: ranks.get(document, 0))
    moved = [abs(ranks[document] - places[document]) for document in after[:TOP]] if ranks else []
    return Change(
        line=logged.line,
        search=f"{logged.target} {json.dumps(logged.body, ensure_ascii=False)}",
        outcome=through.outcome,
        overlap_at_10=overlap(before, after, TOP),
        kendall_tau=kendall_tau(as_found, after) if ranks else None,
        shift=_mean(moved),
        new_top=before[:1] != after[:1],
    )


def page(body: Mapping[str, Any], start: int) -> tuple[list[tuple[str, float]], list[int]]:
    """Return an answer's hits, and the first-stage rank of each.

    A hit that tells none stands where Elasticsearch put it: it is after the window. A `filter_path` may leave nothing.
    """
    hits = {f"{hit.get('_index')}/{hit.get('_id')}": hit for hit in (body.get("hits") or {}).get("hits") or []}
    ranks = [
        int((hit.get("fields") or {}).get(RANK, [place])[0]) for place, hit in enumerate(hits.values(), start=start + 1)
    ]
    return [(name, float(hit.get("_score") or 0.0)) for name, hit in hits.items()], ranks


def summary(changes: Sequence[Change], direct: Sequence[Answer], through: Sequence[Answer], log: Log) -> Summary:
    """Summarize; the answers are those of the searches that both sides answered."""
    reranked = [each for each in changes if each.outcome == RERANKED]
    return Summary(
        searches=len(log.searches),
        others=log.others,
        refused=len(log.searches) - len(changes),
        outcomes=dict(Counter(each.outcome for each in changes).most_common()),
        compared=len(reranked),
        overlap_at_10=_mean([each.overlap_at_10 for each in reranked]),
        kendall_tau=_mean([each.kendall_tau for each in reranked if each.kendall_tau is not None]),
        shift=_mean([each.shift for each in reranked if each.shift is not None]),
        new_top=_mean([float(each.new_top) for each in reranked]),
        direct=latency(direct),
        through=latency(through),
        stages=mean_stages(through),
    )


def _mean(values: Sequence[float | int]) -> float | None:
    return float(np.mean(values)) if values else None


def _is_search(method: str, target: str) -> bool:
    found = route(method, target)
    return found is not None and found.endpoint.name == "search"
