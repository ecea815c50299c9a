"""Which part of each collection is trained on. Deterministic: a hash decides, so evaluation can repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_HELD_OUT_MOVIES = 20
_HELD_OUT_QUESTIONS = 10
_HELD_OUT_PAGES = 15
_HELD_OUT_PRODUCT_QUERIES = 50


def percent(name: str) -> int:
    """Return a number from 0 to 99 that depends on ``name`` alone, uniform over names."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % 100


def is_test_movie(movie_id: str) -> bool:
    """Return whether a movie is held out (20 % of them)."""
    return percent(f"movie:{movie_id}") < _HELD_OUT_MOVIES


def movie_part(positives: Iterable[str]) -> str | None:
    """Return ``train`` or ``test`` for a query by the movies that are right for it, None when it has both.

    Queries of one movie are near-duplicates, so the movies are split and not the queries; a query with
    right answers on both sides belongs to neither.
    """
    sides = {is_test_movie(movie) for movie in positives}
    if len(sides) != 1:
        return None
    return "test" if sides.pop() else "train"


def is_test_question(question: str) -> bool:
    """Return whether a general question is held out as a check on queries like none trained on (10 %)."""
    return percent(f"question:{question.strip().lower()}") < _HELD_OUT_QUESTIONS


def is_test_page(page: str) -> bool:
    """Return whether a page of documentation is held out, with all queries that it answers (15 %)."""
    return percent(f"page:{page.strip().lower()}") < _HELD_OUT_PAGES


def is_test_product_query(query: str) -> bool:
    """Return whether a product query is held out (half of them)."""
    return percent(f"product:{query.strip().lower()}") < _HELD_OUT_PRODUCT_QUERIES
