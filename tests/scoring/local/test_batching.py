"""Which pairs form the next batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.local.batching import Batch, Part, Waiting, next_batch

FOREVER = float("inf")


def waiting(*lengths: int, deadline: float = FOREVER, arrival: int = 0, background: bool = False) -> Waiting:
    return Waiting(deadline, arrival, lengths, background)


def batch(tokens: int, *parts: tuple[int, int, int]) -> Batch:
    return Batch(tuple(Part(*part) for part in parts), tokens)


# waiting requests (lengths longest first), budget, and the batch: tokens, and (request, start, end)
CASES: dict[str, tuple[list[Waiting], int, Batch]] = {
    "nothing waits": ([], 100, batch(0)),
    "nothing is left of what waits": ([waiting()], 100, batch(0)),
    "all fit": ([waiting(9, 7, 5)], 100, batch(27, (0, 0, 3))),
    "longest first, padding counted": ([waiting(9, 8, 7, 5)], 27, batch(27, (0, 0, 3))),
    "one token short of a third": ([waiting(9, 7, 5)], 26, batch(18, (0, 0, 2))),
    "longer than the budget goes alone": ([waiting(900, 5)], 100, batch(900, (0, 0, 1))),
    "earliest deadline leads": ([waiting(4, deadline=9.0), waiting(4, deadline=3.0)], 4, batch(4, (1, 0, 1))),
    "earliest arrival leads among equals": ([waiting(4, arrival=2), waiting(4, arrival=1)], 4, batch(4, (1, 0, 1))),
    "a deadline comes before none": (
        [waiting(4, arrival=1), waiting(4, deadline=9.0, arrival=2)],
        4,
        batch(4, (1, 0, 1)),
    ),
    "others fill the room, but never lengthen the batch": (
        [waiting(6, arrival=1), waiting(9, 6, 5, 2, arrival=2)],
        24,
        batch(24, (0, 0, 1), (1, 1, 4)),
    ),
    "a third request fills what a second leaves": (
        [waiting(6, arrival=1), waiting(7, 3, arrival=2), waiting(6, 6, arrival=3)],
        18,
        batch(18, (0, 0, 1), (1, 1, 2), (2, 0, 1)),
    ),
    "a request whose pairs are all longer is passed over": (
        [waiting(4, arrival=1), waiting(9, 8, arrival=2), waiting(3, arrival=3)],
        100,
        batch(8, (0, 0, 1), (2, 0, 1)),
    ),
    "background waits": ([waiting(4, 4, background=True), waiting(4, deadline=99.0)], 100, batch(4, (1, 0, 1))),
    "background runs when nothing else does": (
        [waiting(4, 4, background=True), waiting()],
        100,
        batch(8, (0, 0, 2)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_next_batch(name: str) -> None:
    requests, budget, expected = CASES[name]
    assert next_batch(requests, budget) == expected


REQUESTS = st.lists(
    st.builds(
        Waiting,
        st.sampled_from([1.0, 2.0, FOREVER]),
        st.integers(0, 5),
        st.lists(st.integers(1, 60), max_size=12).map(lambda lengths: sorted(lengths, reverse=True)),
        st.booleans(),
    ),
    max_size=6,
)


@given(requests=REQUESTS, budget=st.integers(1, 200))
def test_any_batch_keeps_the_rules(requests: list[Waiting], budget: int) -> None:
    found = next_batch(requests, budget)
    assert len({part.request for part in found.parts}) == len(found.parts)
    lengths = [length for part in found.parts for length in requests[part.request].lengths[part.start : part.end]]
    assert found.tokens == len(lengths) * max(lengths, default=0)
    assert found.tokens <= budget or len(lengths) == 1
    urgent = [r for r in requests if r.lengths]
    foreground = [r for r in urgent if not r.background]
    if urgent:
        first = min(foreground or urgent, key=lambda r: (r.deadline, r.arrival))
        served = [requests[part.request] for part in found.parts]
        assert first in served
        assert not (foreground and any(r.background for r in served))


@given(requests=REQUESTS, budget=st.integers(1, 200))
def test_every_pair_is_served_once(requests: list[Waiting], budget: int) -> None:
    left = [list(enumerate(r.lengths)) for r in requests]
    served = []
    while any(left):
        now = [
            Waiting(r.deadline, r.arrival, [length for _, length in pairs], r.background)
            for r, pairs in zip(requests, left, strict=True)
        ]
        found = next_batch(now, budget)
        assert found.parts
        for part in found.parts:
            served += [(part.request, pair) for pair, _ in left[part.request][part.start : part.end]]
            del left[part.request][part.start : part.end]
    assert sorted(served) == [(i, pair) for i, r in enumerate(requests) for pair in range(len(r.lengths))]
