"""Which first-stage hits are sure, whatever the model says of them. Pure.

Models of this kind read words, and see no difference between two codes. A search engine does: a hit that holds a
number or a code of the query which hardly another hit holds is what was looked for, and so is one whose score is far
above all others'. Such hits may rise, but never sink below the place that Elasticsearch gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_AROUND: Final = ".,;:!?\"'()[]{}<>"
_SHORTEST: Final = 3
_MOST_CODES: Final = 8
_SHARE: Final = 0.05
_FAR: Final = 1.6
_MOST_LEADING: Final = 3


def sure(query: str, texts: Sequence[str], first: Sequence[float | None]) -> frozenset[int]:
    """Return the places of the hits that must not sink.

    Args:
        query: what was searched.
        texts: the hits' texts, in Elasticsearch's order.
        first: their first-stage scores.
    """
    return holders(codes(query), texts) | leading(first)


def codes(query: str) -> list[str]:
    """Return the words of the query that hold a digit and are no short number, in lower case, the first eight."""
    words = (word.strip(_AROUND).lower() for word in query.split())
    found = (word for word in words if len(word) >= _SHORTEST and any(map(str.isdigit, word)))
    return list(dict.fromkeys(found))[:_MOST_CODES]


def holders(wanted: Sequence[str], texts: Sequence[str]) -> frozenset[int]:
    """Return the places of the texts that hold one of these words, if no more than one in twenty texts holds it."""
    if not wanted:
        return frozenset()
    lowered = [text.lower() for text in texts]
    most = max(1.0, _SHARE * len(texts))
    found = (_holding(word, lowered) for word in wanted)
    return frozenset(place for places in found if len(places) <= most for place in places)


def _holding(word: str, texts: Sequence[str]) -> list[int]:
    return [i for i, text in enumerate(texts) if _holds(text, word)]


def _holds(text: str, word: str) -> bool:
    """Return whether ``text`` has ``word`` with no letter or digit beside it."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(word, end)
    return False


def leading(first: Sequence[float | None]) -> frozenset[int]:
    """Return the first places, up to three, whose score is far above the next one's."""
    for count in range(min(_MOST_LEADING, len(first) - 1), 0, -1):
        last, following = first[count - 1], first[count]
        if last is not None and following is not None and last >= _FAR * following > 0:
            return frozenset(range(count))
    return frozenset()
