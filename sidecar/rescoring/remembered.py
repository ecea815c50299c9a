"""The order of a list's scored hits, to be shown by its other pages, too. Pure."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.rescoring.order import Place
from sidecar.rescoring.values import Hit


@dataclass(frozen=True, slots=True)
class Order:
    """The scored hits in their order: a digest of each one's name, its `_score`, and its logit, NaN without text.

    ``whole``: all hits of the window were scored.
    """

    names: Sequence[bytes]
    scores: Sequence[float]
    logits: Sequence[float]
    model: str
    whole: bool

    @property
    def textless(self) -> int:
        """How many of the hits have no text."""
        return sum(map(math.isnan, self.logits))

    def places(self, hits: Sequence[Hit]) -> list[Place]:
        """Return the places of these hits; those that were not scored have none."""
        found = {_digest(hit): i for i, hit in enumerate(hits)}
        known = zip(self.names, self.scores, self.logits, strict=True)
        return [
            Place(found[name], score, None if math.isnan(logit) else logit)
            for name, score, logit in known
            if name in found
        ]


def order_of(hits: Sequence[Hit], places: Sequence[Place], model: str, *, whole: bool) -> Order | None:
    """Return the order to remember; None where a hit's name does not tell it apart."""
    placed = [hits[place.position] for place in places]
    names = [_digest(hit) for hit in placed]
    if any(hit.name is None for hit in placed) or max(Counter(names).values(), default=0) > 1:
        return None
    logits = array("d", (math.nan if place.logit is None else place.logit for place in places))
    return Order(names, array("d", (place.score for place in places)), logits, model, whole)


def _digest(hit: Hit) -> bytes:
    index, id_, routing = hit.name or ("", "", None)
    text = f"{len(index)} {len(id_)} {routing is None} {index}{id_}{routing or ''}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
