"""Writes a search answer back with its window permuted: raw bytes are moved, not re-encoded.

Only `_score`, `max_score` and `took` are rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.elasticsearch import filter_path
from sidecar.elasticsearch.json_bytes import Edit, members, splice, whole
from sidecar.rescoring import explain
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.order import Place, tail
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.values import Hit

# A hit up to its score, where only strings and numbers stand before it: as Elasticsearch writes them.
_SCORE = re.compile(
    rb"""[ \t\r\n]*+ \{
    (?:
        [ \t\r\n]*+ "(?!_score")[^"\\]*+" [ \t\r\n]*+ :
        [ \t\r\n]*+ (?: "(?:[^"\\]++|\\.)*+" | [-+.0-9eE]++ ) [ \t\r\n]*+ ,
    )*+
    [ \t\r\n]*+ "_score" [ \t\r\n]*+ : [ \t\r\n]*+ ([-+.0-9eE]++|null)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A hit in the list that the client sees, and what is written of it."""

    hit: Hit
    rank: int
    score: float | None
    logit: float | None
    among_scored: bool = False


def apply(
    first: FirstStage,
    plan: RescorePlan,
    places: Sequence[Place] | None,
    *,
    took_ms: int | None,
    model: str = "",
    read: Mapping[int, int] | None = None,
) -> bytes:
    """Return the client's answer.

    Args:
        first: the widened answer.
        plan: what was asked.
        places: the hits that come first, in their new order; the others follow in Elasticsearch's. None leaves its
            order and its scores.
        took_ms: the whole time in milliseconds, for `took`; None leaves Elasticsearch's.
        model: the model's name, for explanations.
        read: how many characters of their texts the model read, by first-stage position, where that is known.
    """
    placed = _unranked(first) if places is None else _ranked(first, plan, places)
    shown = _page(placed, first, plan, cut=places is not None)
    written = [p.hit.raw if places is None else _written(p, plan, model, read or {}) for p in shown]
    edits = [_hits_edit(first, written)] if first.slots else []
    if places is not None and placed:
        edits += _max_score(first, _kept(placed, plan))
    if took_ms is not None and "took" in first.top:
        edits.append(Edit(first.top["took"].start, first.top["took"].end, str(took_ms).encode()))
    edits += [
        Edit(first.top[name].start, first.top[name].end, value)
        for name, value in first.coverage.items()
        if name in first.top
    ]
    body = splice(first.answer, edits)
    return body if plan.filter_path is None else filter_path.apply(body, plan.filter_path)


def _page(placed: Sequence[_Placed], first: FirstStage, plan: RescorePlan, *, cut: bool) -> list[_Placed]:
    """Return the page of the list; ``placed`` are the fetched hits and then, maybe after a gap, the page's rest."""
    window = plan.window
    if cut and plan.settings.min_score is not None:
        return _kept(placed, plan)[window.from_ : window.from_ + window.size]
    head = placed[: len(first.hits)][window.from_ : window.from_ + window.size]
    return [*head, *placed[len(first.hits) :]]


def _kept(placed: Sequence[_Placed], plan: RescorePlan) -> list[_Placed]:
    """Return the hits that `ext.rescore.min_score` keeps: of a list that ends with its window, as that was scored."""
    lowest = plan.settings.min_score
    if lowest is None:
        return list(placed)
    # In single precision: a `_score` that was seen is not below itself.
    floor = explain.single(lowest)
    return [p for p in placed if p.logit is not None and explain.single(p.score or 0.0) >= floor]


def _unranked(first: FirstStage) -> list[_Placed]:
    return [_Placed(hit, i + 1, hit.score, None) for i, hit in enumerate(first.hits + first.rest)]


def _ranked(first: FirstStage, plan: RescorePlan, places: Sequence[Place]) -> list[_Placed]:
    head = [_Placed(first.hits[at.position], at.position + 1, at.score, at.logit, among_scored=True) for at in places]
    lowest = places[-1].score if places else 0.0
    taken = {at.position for at in places}
    ranks = [i for i in range(len(first.hits)) if i not in taken]
    rest = [first.hits[i] for i in ranks] + list(first.rest)
    ranks += range(plan.window.rest_from, plan.window.rest_from + len(first.rest))
    tail_scores = tail([hit.score for hit in rest], lowest)
    return head + [
        _Placed(hit, rank + 1, score, None) for hit, rank, score in zip(rest, ranks, tail_scores, strict=True)
    ]


def _hits_edit(first: FirstStage, written: list[bytes]) -> Edit:
    """Put the page's hits into the first slots; the white space between slots stays Elasticsearch's."""
    slots = first.slots
    between = [first.answer[slots[i].end : slots[i + 1].start] for i in range(min(len(slots), len(written)) - 1)]
    between += [between[0] if between else b","] * (len(written) - 1 - len(between))
    pieces = [piece for pair in zip(written, [*between, b""], strict=False) for piece in pair]
    return Edit(slots[0].start, slots[-1].end, b"".join(pieces))


def _max_score(first: FirstStage, kept: Sequence[_Placed]) -> list[Edit]:
    span = first.hits_object.get("max_score")
    if span is None:
        return []
    value = number(kept[0].score) if kept else b"null"
    return [Edit(span.start, span.end, value)]


def _written(placed: _Placed, plan: RescorePlan, model: str, read: Mapping[int, int]) -> bytes:
    raw = placed.hit.raw
    at = None if plan.settings.explain or b'"_explanation"' in raw else _SCORE.match(raw)
    if at is not None:
        return raw[: at.start(1)] + number(placed.score) + raw[at.end(1) :]
    return _edited(placed, plan, model, read)


def _edited(placed: _Placed, plan: RescorePlan, model: str, read: Mapping[int, int]) -> bytes:
    """Return a hit whose members must be looked at one by one."""
    raw = placed.hit.raw
    found = members(raw, whole(raw))
    edits = []
    if "_score" in found:
        edits.append(Edit(found["_score"].start, found["_score"].end, number(placed.score)))
    if "_explanation" in found:
        original = found["_explanation"].of(raw)
        if placed.logit is None:
            tree = explain.unscored_node(original, placed.score, among_scored=placed.among_scored)
        else:
            tree = explain.node(original, placed.score, placed.logit, model, plan.settings.fusion)
        edits.append(Edit(found["_explanation"].start, found["_explanation"].end, tree))
    raw = splice(raw, edits)
    if plan.settings.explain:
        values = explain.values(placed.rank, placed.hit.score, placed.logit)
        if plan.settings.explain == "text" and placed.logit is not None:
            values |= explain.texts(plan.query_text, plan.read_text, placed.hit.text, read.get(placed.rank - 1))
        raw = explain.with_fields(raw, values)
    return raw


def number(score: float | None) -> bytes:
    """Spell a score as Elasticsearch does: single precision, always with a point or an exponent."""
    if score is None:
        return b"null"
    return explain.spelled(score)
