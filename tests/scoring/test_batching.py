"""Which pairs form the next batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.batching import Batch, Waiting, next_batch

FOREVER = float("inf")


def waiting(*lengths: int, deadline: float = FOREVER, arrival: int = 0, background: bool = False) -> Waiting:
    return Waiting(deadline, arrival, lengths, background)


CASES: dict[str, tuple[list[Waiting], int, Batch]] = {
    "nothing waits": ([], 100, Batch((), 0)),
    "nothing is left of what waits": ([waiting()], 100, Batch((), 0)),
    "all fit": ([waiting(5, 9, 7)], 100, Batch(((0, 1), (0, 2), (0, 0)), 27)),
    "longest first, padding counted": ([waiting(5, 9, 7, 8)], 27, Batch(((0, 1), (0, 3), (0, 2)), 27)),
    "one token short of a third": ([waiting(5, 9, 7)], 26, Batch(((0, 1), (0, 2)), 18)),
    "longer than the budget goes alone": ([waiting(5, 900)], 100, Batch(((0, 1),), 900)),
    "earliest deadline leads": (
        [waiting(4, deadline=9.0), waiting(4, deadline=3.0)],
        4,
        Batch(((1, 0),), 4),
    ),
    "earliest arrival leads among equals": (
        [waiting(4, arrival=2), waiting(4, arrival=1)],
        4,
        Batch(((1, 0),), 4),
    ),
    "a deadline comes before none": (
        [waiting(4, arrival=1), waiting(4, deadline=9.0, arrival=2)],
        4,
        Batch(((1, 0),), 4),
    ),
    "others fill the room, but never lengthen the batch": (
        [waiting(6, arrival=1), waiting(9, 5, 6, 2, arrival=2)],
        24,
        Batch(((0, 0), (1, 2), (1, 1), (1, 3)), 24),
    ),
    "a third request fills what a second leaves": (
        [waiting(6, arrival=1), waiting(7, 3, arrival=2), waiting(6, 6, arrival=3)],
        18,
        Batch(((0, 0), (1, 1), (2, 0)), 18),
    ),
    "background waits": ([waiting(4, 4, background=True), waiting(4, deadline=99.0)], 100, Batch(((1, 0),), 4)),
    "background runs when nothing else does": (
        [waiting(4, 4, background=True), waiting()],
        100,
        Batch(((0, 0), (0, 1)), 8),
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
        st.lists(st.integers(1, 60), max_size=12).map(tuple),
        st.booleans(),
    ),
    max_size=6,
)


@given(requests=REQUESTS, budget=st.integers(1, 200))
def test_any_batch_keeps_the_rules(requests: list[Waiting], budget: int) -> None:
    batch = next_batch(requests, budget)
    assert len(set(batch.members)) == len(batch.members)
    lengths = [requests[request].lengths[pair] for request, pair in batch.members]
    assert batch.tokens == len(lengths) * max(lengths, default=0)
    assert batch.tokens <= budget or len(lengths) == 1
    urgent = [r for r in requests if r.lengths]
    foreground = [r for r in urgent if not r.background]
    if urgent:
        first = min(foreground or urgent, key=lambda r: (r.deadline, r.arrival))
        served = [requests[request] for request, _ in batch.members]
        assert first in served
        assert not (foreground and any(r.background for r in served))


@given(requests=REQUESTS, budget=st.integers(1, 200))
def test_every_pair_is_served_once(requests: list[Waiting], budget: int) -> None:
    left = [list(enumerate(r.lengths)) for r in requests]
    served = []
    while any(left):
        now = [
            Waiting(r.deadline, r.arrival, tuple(length for _, length in pairs), r.background)
            for r, pairs in zip(requests, left, strict=True)
        ]
        batch = next_batch(now, budget)
        assert batch.members
        served += [(request, left[request][place][0]) for request, place in batch.members]
        left = [
            [pair for place, pair in enumerate(pairs) if (i, place) not in batch.members]
            for i, pairs in enumerate(left)
        ]
    assert sorted(served) == [(i, pair) for i, r in enumerate(requests) for pair in range(len(r.lengths))]
