"""Reads a search answer and writes it back with its window permuted: raw bytes are moved, not re-encoded.

Only `_score`, `max_score` and `took` are rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.search import explain, filter_path
from sidecar.search.documents import text_of
from sidecar.search.json_splice import Edit, Span, elements, members, splice, whole
from sidecar.search.lenient_json import decode
from sidecar.search.order import ranked, tail
from sidecar.search.plan import RescorePlan
from sidecar.search.types import Hit

_SPACE = re.compile(rb"\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """A search answer taken apart. ``hits`` are all that were fetched, in Elasticsearch's order."""

    answer: bytes
    top: Mapping[str, Span]
    hits_object: Mapping[str, Span]
    slots: tuple[Span, ...]
    hits: tuple[Hit, ...]
    missing_fields: int

    @property
    def took(self) -> float:
        """The seconds that Elasticsearch says it took, 0 where it does not say."""
        span = self.top.get("took")
        return 0.0 if span is None else float(span.of(self.answer)) / 1000


@dataclass(frozen=True, slots=True)
class _Placed:
    """A hit in the list that the client sees, and what is written of it."""

    hit: Hit
    rank: int
    score: float | None
    logit: float | None


def read(answer: bytes, plan: RescorePlan) -> FirstStage:
    """Take a search answer apart.

    Raises:
        ValueError: it is not a search answer, or not exactly what can be put together again.
    """
    top = members(answer, whole(answer))
    if "hits" not in top:
        raise ValueError("no hits")
    hits_object = members(answer, top["hits"])
    slots = tuple(elements(answer, hits_object["hits"])) if "hits" in hits_object else ()
    hits, missing = [], 0
    for i, slot in enumerate(slots):
        hit, lacking = _hit(slot.of(answer), plan, scored=i < plan.window.size_rescored)
        hits.append(hit)
        missing += lacking
    return FirstStage(
        answer=answer, top=top, hits_object=hits_object, slots=slots, hits=tuple(hits), missing_fields=missing
    )


def _hit(raw: bytes, plan: RescorePlan, *, scored: bool) -> tuple[Hit, int]:
    value = decode_hit(raw)
    text, missing = text_of(value, plan.mapping, plan.highlight_tags) if scored else ("", 0)
    score = value.get("_score")
    number = float(score) if isinstance(score, int | float) else None
    return Hit(raw=raw, text=text, score=number), missing


def decode_hit(raw: bytes) -> dict[str, Any]:
    """Decode a hit; numbers that Python's floats cannot hold are only in its raw bytes, which are kept.

    Raises:
        ValueError: it is not an object.
    """
    value = decode(raw)
    if not isinstance(value, dict):
        raise ValueError("a hit is not an object")
    return value


def apply(
    first: FirstStage, plan: RescorePlan, scores: Sequence[float] | None, *, took_ms: int | None, model: str = ""
) -> bytes:
    """Give the client's answer.

    Args:
        first: the widened answer.
        plan: what was asked.
        scores: the model's logits for the window's hits, `(hits in window,)`; None leaves Elasticsearch's
            order and scores.
        took_ms: the whole time in milliseconds, for `took`; None leaves Elasticsearch's.
        model: the model's name, for explanations.

    Raises:
        ValueError: the scores are too few, too many, or not finite.
    """
    placed = _unranked(first) if scores is None else _ranked(first, plan, scores)
    kept = [p for p in placed if not _below(p, plan)]
    page = kept[plan.window.from_ : plan.window.from_ + plan.window.size]
    written = [p.hit.raw if scores is None else _written(p, plan, model) for p in page]
    edits = [_hits_edit(first, written)] if first.slots else []
    if scores is not None and placed:
        edits += _max_score(first, kept)
    if took_ms is not None and "took" in first.top:
        edits.append(Edit(first.top["took"].start, first.top["took"].end, str(took_ms).encode()))
    body = splice(first.answer, edits)
    return body if plan.filter_path is None else filter_path.apply(body, plan.filter_path)


def _unranked(first: FirstStage) -> list[_Placed]:
    return [_Placed(hit, i + 1, hit.score, None) for i, hit in enumerate(first.hits)]


def _ranked(first: FirstStage, plan: RescorePlan, scores: Sequence[float]) -> list[_Placed]:
    window = first.hits[: plan.window.size_rescored]
    rest = first.hits[plan.window.size_rescored :]
    result = ranked([hit.score for hit in window], scores, plan.settings.fusion)
    head = [
        _Placed(window[position], position + 1, score, scores[position])
        for position, score in zip(result.positions, result.scores, strict=True)
    ]
    lowest = result.scores[-1] if result.scores else 0.0
    tail_scores = tail([hit.score for hit in rest], lowest)
    return head + [
        _Placed(hit, len(window) + i + 1, score, None)
        for i, (hit, score) in enumerate(zip(rest, tail_scores, strict=True))
    ]


def _below(placed: _Placed, plan: RescorePlan) -> bool:
    """Tell whether `ext.rescore.min_score` drops a hit of the window; the tail was not scored and stays."""
    lowest = plan.settings.min_score
    if lowest is None or placed.logit is None:
        return False
    return explain.single(placed.score or 0.0) < explain.single(lowest)  # a `_score` that was seen is not below itself


def _hits_edit(first: FirstStage, written: list[bytes]) -> Edit:
    """Put the page's hits into the first slots; the white space between slots stays Elasticsearch's."""
    start, end = first.slots[0].start, first.slots[-1].end
    pieces: list[bytes] = []
    for i, raw in enumerate(written):
        if i:
            between = first.slots[i - 1].end, first.slots[i].start
            pieces.append(first.answer[between[0] : between[1]])
        pieces.append(raw)
    return Edit(start, end, b"".join(pieces))


def _max_score(first: FirstStage, kept: Sequence[_Placed]) -> list[Edit]:
    span = first.hits_object.get("max_score")
    if span is None:
        return []
    value = number(kept[0].score) if kept else b"null"
    return [Edit(span.start, span.end, value)]


def _written(placed: _Placed, plan: RescorePlan, model: str) -> bytes:
    raw = placed.hit.raw
    found = members(raw, whole(raw))
    edits = []
    if "_score" in found:
        edits.append(Edit(found["_score"].start, found["_score"].end, number(placed.score)))
    if "_explanation" in found:
        tree = explain.node(found["_explanation"].of(raw), placed.score, placed.logit, model, plan.settings.fusion)
        edits.append(Edit(found["_explanation"].start, found["_explanation"].end, tree))
    raw = splice(raw, edits)
    if plan.settings.explain:
        raw = explain.with_fields(raw, rank=placed.rank, first=placed.hit.score, logit=placed.logit)
    return raw


def number(score: float | None) -> bytes:
    """Spell a score as Elasticsearch does: single precision, always with a point or an exponent."""
    if score is None:
        return b"null"
    return explain.spelled(score)
