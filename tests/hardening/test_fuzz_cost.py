"""The short version of `scripts/fuzz cost`, which counts steps instead of time, and that it would notice."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import pytest
from hardening.cost_cases import Case, Line, Piece, built, case, mutated
from hardening.fuzz_cost import Bench, described

from sidecar.elasticsearch import filter_path
from tests.steps import Steps, TooManyStepsError, steps_of

_SIZE: Final = 64_000
_ON_THE_LOOP: Final = 80_000
"""Steps that the loop may take for one search, however large: most are those of decoding the longest request line."""
_EACH_BYTE: Final = 40
"""Steps that all threads may take for a byte."""

CLAUSES = Case(body=(Piece("query.bool.should", "array", '{"match":{"title":"zip"}}'),))
PATTERNS = Case(body=(Piece("_source", "texts", "a*b"),))
KEYS = Case(body=(Piece("aggs", "keys", "a"),))
DOCUMENT = Case(hits=(Piece("_source.title", "nested arrays", '"a"'),))
SEARCHES = Case(endpoint="_msearch")
STARS = Case(
    parameters={"filter_path": Line("aggregations.", "a*", "b")}, answer=(Piece("aggregations", "keys", "a" * 36),)
)


def steps_for(made: Case, size: int = _SIZE, limit: int = 10_000_000) -> Steps:
    bench, given = Bench(), built(made, size)
    return steps_of(lambda: asyncio.run(bench.work(given)), limit)


def wrong(made: Case) -> str | None:
    """Say what a case costs too much of, if it does."""
    least = steps_for(Case(), 100)
    found = steps_for(made)
    if found.here - least.here > _ON_THE_LOOP:
        return f"{found.here} steps on the loop: {described(made)}"
    if found.here + found.beside > _EACH_BYTE * built(made, _SIZE).size + least.here:
        return f"{found.here + found.beside} steps for {built(made, _SIZE).size} bytes: {described(made)}"
    return None


@pytest.mark.parametrize("made", [CLAUSES, PATTERNS, KEYS, DOCUMENT, SEARCHES, STARS], ids=described)
def test_what_once_stopped_the_loop_is_worked_off_beside_it(made: Case) -> None:
    assert wrong(made) is None


def test_no_case_takes_more_steps_than_its_bytes_allow() -> None:
    random = Random(12)
    cases = [case(random) for _ in range(25)]
    cases += [mutated(each, random) for each in cases[:10]]
    assert [found for found in map(wrong, cases) if found] == []


def test_bodies_taken_apart_on_the_loop_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.rescoring.aside.SMALL", 1 << 30)
    assert {name for name, made in globals().items() if isinstance(made, Case) and wrong(made)} >= {"CLAUSES", "KEYS"}


def test_a_matcher_that_backtracks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def backtracking(pattern: str, name: str) -> bool:
        if not pattern.startswith("*"):
            return pattern[:1] == name[:1] and (not pattern or backtracking(pattern[1:], name[1:]))
        return backtracking(pattern[1:], name) or (bool(name) and backtracking(pattern, name[1:]))

    def below(paths: filter_path._Paths, state: int, name: str) -> int:
        return state if name == "aggregations" or backtracking("*a" * 18 + "*b", name) else 0

    monkeypatch.setattr(filter_path._Paths, "below", below)
    with pytest.raises(TooManyStepsError):
        steps_for(STARS, 40_000, limit=3_000_000)


def test_the_same_seed_gives_the_same_cases() -> None:
    one, other = Random(5), Random(5)
    assert [case(one) for _ in range(50)] == [case(other) for _ in range(50)]
