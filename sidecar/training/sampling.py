"""From judgments to groups: which queries are held out, and what is learnt from each of the others. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sidecar.training.groups import Group

_TEXTS: Final = 6
_GROUPS: Final = 6


def is_held_out(query: str, share: float) -> bool:
    """Return whether a query is kept for the evaluation: its words decide, so the same query is never on both sides."""
    words = " ".join(query.lower().split())
    digest = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 10_000 < share * 10_000


def kept_out(queries: Iterable[str], qrels: Mapping[str, Mapping[str, int]]) -> set[str]:
    """Return the documents that are relevant to these queries: what they are measured by is not learnt from."""
    return {document for query in queries for document, grade in qrels[query].items() if grade > 0}


def groups_of(
    query: str,
    grades: Mapping[str, int],
    found: Sequence[str],
    texts: Mapping[str, str],
    excluded: Collection[str],
    rng: random.Random,
) -> list[Group]:
    """Return the groups of one query: in each a relevant text, less relevant ones, and hits that nobody judged.

    Args:
        query: its text.
        grades: of its judged documents; 0 and below are not relevant.
        found: hits of the search, best first.
        texts: by document; those without are left out.
        excluded: documents that are not learnt from.
        rng: chooses.
    """
    usable = {document for document in texts if texts[document].strip() and document not in excluded}
    judged = {document: max(0, grade) for document, grade in grades.items() if document in usable}
    best = [document for document, grade in judged.items() if grade > 0]
    others = [document for document in found if document in usable and document not in judged]
    made = []
    for relevant in rng.sample(best, min(len(best), _GROUPS)) if best else []:
        lower = [document for document, grade in judged.items() if grade < judged[relevant]]
        chosen = rng.sample(lower, min(len(lower), _TEXTS - 1))
        chosen += rng.sample(others, min(len(others), _TEXTS - 1 - len(chosen)))
        if chosen:
            made.append(_group(query, [relevant, *chosen], judged, texts))
    return made


def _group(query: str, documents: Sequence[str], judged: Mapping[str, int], texts: Mapping[str, str]) -> Group:
    gains = tuple(2.0 ** judged.get(document, 0) - 1.0 for document in documents)
    return Group(query=query, texts=tuple(texts[document] for document in documents), grades=gains, max_length=256)
