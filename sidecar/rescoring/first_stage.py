"""What Elasticsearch answered, taken apart: the window's hits, and the hits that a page shows after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sidecar.elasticsearch.json_bytes import Span, elements, members, plain, whole
from sidecar.elasticsearch.lenient_json import decode
from sidecar.rescoring.documents import text_of
from sidecar.rescoring.plan import RescorePlan
from sidecar.rescoring.values import Hit

# What says how much of a cluster an answer comes from.
_COVERAGE: Final = ("timed_out", "terminated_early", "_shards", "_clusters")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """A search answer taken apart. ``hits`` are all that it has, in Elasticsearch's order.

    ``rest`` are the hits after them that the page shows, from an answer of their own. ``coverage`` is what that one
    says of its shards, where some of them failed. ``texts_not_found`` counts texts that a look-up did not give;
    ``late``: it did not end in time.
    """

    answer: bytes
    top: Mapping[str, Span]
    hits_object: Mapping[str, Span]
    slots: tuple[Span, ...]
    hits: tuple[Hit, ...]
    missing_fields: int
    texts_not_found: int = 0
    late: bool = False
    rest: tuple[Hit, ...] = ()
    coverage: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def took(self) -> float:
        """The seconds that Elasticsearch says it took, 0 where it does not say."""
        span = self.top.get("took")
        return 0.0 if span is None else float(span.of(self.answer)) / 1000

    @property
    def partial(self) -> bool:
        """Whether shards or clusters failed, or the time ran out: hits may be missing that a smaller search has."""
        found = {name: decode(self.top[name].of(self.answer)) for name in _COVERAGE if name in self.top}
        shards, clusters = found.get("_shards"), found.get("_clusters")
        return (
            found.get("timed_out") is True
            or _counts(shards, ("failed",))
            or _counts(clusters, ("skipped", "partial", "failed"))
        )

    def textless(self, window_size: int) -> int:
        """Count the hits of the window that have no text; they keep their places."""
        return sum(not hit.text.strip() for hit in self.hits[:window_size])


def _counts(value: Any, names: Sequence[str]) -> bool:
    return isinstance(value, dict) and any(value.get(name) for name in names)


def read(answer: bytes, plan: RescorePlan) -> FirstStage:
    """Take a search answer apart.

    Raises:
        ValueError: it is not a search answer, or not exactly what can be put together again.
    """
    text = plain(answer)
    top = members(text, whole(text))
    if "hits" not in top:
        raise ValueError("no hits")
    hits_object = members(text, top["hits"])
    slots = tuple(elements(text, hits_object["hits"])) if "hits" in hits_object else ()
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
    return Hit(raw=raw, text=text, score=number, name=name_of(value)), missing


def name_of(hit: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
    """Return what tells a document apart from all others: one id may occur once for each routing."""
    index, id_, routing = hit.get("_index"), hit.get("_id"), hit.get("_routing")
    if not isinstance(index, str) or not isinstance(id_, str):
        return None
    return index, id_, routing if isinstance(routing, str) else None


def with_rest(first: FirstStage, rest: FirstStage, count: int) -> FirstStage | None:
    """Return the first stage with the hits that follow it; None where these do not.

    Two requests may see two copies of a shard, whose order differs where scores are equal: some hits are in both
    answers. Without a shard that failed, the list is shorter: what it gives starts too late.
    """
    known = {hit.name for hit in first.hits}
    hits = rest.hits[:count]
    if rest.partial or any(hit.name in known for hit in hits if hit.name is not None):
        return None
    return replace(first, rest=hits)


def with_rest_of_all(first: FirstStage, everything: FirstStage, skipped: int, count: int) -> FirstStage:
    """Return the first stage with what else ``everything`` up to the page's end has, each hit once.

    Args:
        first: the window.
        everything: all hits up to the page's end, in one answer.
        skipped: how many hits lie between the window and the page.
        count: how many hits the page shows after the window.
    """
    known = {hit.name for hit in first.hits}
    others = [hit for hit in everything.hits if hit.name not in known]
    coverage = _coverage(everything) if everything.partial else {}
    return replace(first, rest=tuple(others[skipped : skipped + count]), coverage=coverage)


def _coverage(stage: FirstStage) -> dict[str, bytes]:
    return {name: stage.top[name].of(stage.answer) for name in _COVERAGE if name in stage.top}


def decode_hit(raw: bytes) -> dict[str, Any]:
    """Decode a hit; numbers that Python's floats cannot hold are only in its raw bytes, which are kept.

    Raises:
        ValueError: it is not an object.
    """
    value = decode(raw)
    if not isinstance(value, dict):
        raise ValueError("a hit is not an object")
    return value
