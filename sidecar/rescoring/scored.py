"""Which texts of a window are scored, and the order that their scores give. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.reasons import Reason
from sidecar.rescoring.first_stage import FirstStage
from sidecar.rescoring.order import Place, permuted
from sidecar.rescoring.plan import RescorePlan
from sidecar.scoring.scorer import ScoreRequest, Scores


def score_request(first: FirstStage, plan: RescorePlan, deadline: float, *, background: bool = False) -> ScoreRequest:
    """Return the pairs of the window's hits that have text."""
    hits = [hit for hit in first.hits[: plan.window.size_rescored] if hit.text.strip()]
    return ScoreRequest(
        query=plan.read_text,
        documents=[hit.text for hit in hits],
        model=plan.settings.model,
        deadline=deadline,
        passages=plan.mapping.passages,
        background=background,
        required=None if background else plan.required,
        caller=plan.caller,
        reading=plan.settings.explain == "text",
    )


def read_of(first: FirstStage, plan: RescorePlan, scores: Scores) -> dict[int, int]:
    """Return how many characters the model read of the hits' texts, by first-stage position, where that is known."""
    window = first.hits[: plan.window.size_rescored]
    return dict(zip((i for i, hit in enumerate(window) if hit.text.strip()), scores.read, strict=False))


def unscorable(first: FirstStage, plan: RescorePlan) -> Reason | None:
    """Return the reason why these hits need no scores, or None when they do."""
    hits = first.hits[: plan.window.size_rescored]
    if not hits:
        return Reason.NO_HITS
    if not any(hit.text.strip() for hit in hits):
        return Reason.NO_DOCUMENT_TEXT
    return None


def permutation(first: FirstStage, plan: RescorePlan, scores: Sequence[float]) -> list[Place]:
    """Return the hits that were scored, and those without text between them, in their new order.

    Raises:
        ValueError: the scores are too few, too many, or not finite.
    """
    return permuted(first.hits[: _scored_hits(first, plan, len(scores))], scores, plan.settings.fusion, plan.query_text)


def _scored_hits(first: FirstStage, plan: RescorePlan, texts: int) -> int:
    window = first.hits[: plan.window.size_rescored]
    places = [i for i, hit in enumerate(window) if hit.text.strip()]
    least = len(places) if plan.required is None else min(plan.required, len(places))
    if not least <= texts <= len(places):
        raise ValueError(f"{texts} scores for {len(places)} hits")
    return len(window) if texts == len(places) else places[texts - 1] + 1
