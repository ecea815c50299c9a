"""Which searches are admitted, and how fast a device is taken to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.local.admission import SURE, Due, admits, room
from sidecar.scoring.local.speed import Speed

SPEED = 100.0 / SURE  # tokens a second, of which 100 are promised


def due(deadline: float, tokens: int, caller: bytes = b"") -> Due:
    return Due(deadline, tokens, caller)


@pytest.mark.parametrize(
    ("new", "others", "running", "admitted"),
    [
        (due(1.0, 100), [], 0, True),
        (due(1.0, 101), [], 0, False),
        (due(1.0, 100), [], 1, False),
        (due(1.0, 50), [due(1.0, 50, b"other")], 0, True),
        (due(1.0, 51), [due(1.0, 50, b"other")], 0, False),
        (due(1.0, 60), [due(2.0, 60, b"other")], 0, True),  # the other has time until 2.0
        (due(1.0, 60), [due(2.0, 141, b"other")], 0, False),  # but not if it is kept waiting
        (due(2.0, 60), [due(1.0, 141, b"other")], 0, False),
        (due(1.0, 25), [due(1.0, 50)], 0, True),  # one caller fills three quarters
        (due(1.0, 26), [due(1.0, 50)], 0, False),  # and leaves the rest to others
        (due(1.0, 26), [due(1.0, 25, b"other")], 0, True),
        (due(1.0, 12), [due(1.0, 26), due(1.0, 1, b"other")], 0, False),  # of two, each fills half of that
    ],
)
def test_who_is_admitted(new: Due, others: list[Due], running: float, admitted: bool) -> None:
    assert admits(new, others, running, 0.0, SPEED) is admitted


DUES = st.builds(Due, st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 80), st.sampled_from([b"a", b"b", b"c"]))


@given(st.lists(DUES, max_size=20))
def test_what_was_admitted_can_be_run_in_time(asked: list[Due]) -> None:
    admitted: list[Due] = []
    for new in asked:
        if admits(new, admitted, 0.0, 0.0, SPEED):
            admitted.append(new)
    now = 0.0
    for each in sorted(admitted, key=lambda each: each.deadline):
        now += each.tokens / (SPEED * SURE)
        assert now <= each.deadline + 1e-9


def test_a_caller_s_first_search_finds_room_beside_another_s_many() -> None:
    admitted: list[Due] = []
    for new in [due(1.0, 10)] * 50:
        if admits(new, admitted, 0.0, 0.0, SPEED):
            admitted.append(new)
    assert len(admitted) == 7
    assert admits(due(1.0, 30, b"another"), admitted, 0.0, 0.0, SPEED)


def test_room_is_what_was_not_promised() -> None:
    assert room([due(1.0, 30), due(2.0, 99)], 10, 1.0, 0.0, 100.0) == 60


def test_speed_follows_the_batches_and_forgets_what_is_long_past() -> None:
    speed = Speed(1000.0)
    assert speed.at(0.0) == 1000.0
    for batch in range(40):
        speed = speed.after(100, 1.0, float(batch))
    assert speed.at(39.0) == pytest.approx(100.0, rel=0.05)
    assert speed.at(44.0) == pytest.approx(200.0, rel=0.05)
    assert speed.at(90.0) == 1000.0
    assert speed.after(100, 0.0, 41.0) == speed


def test_time_is_kept_free_where_batches_are_late() -> None:
    steady = odd = Speed(1000.0)
    for batch in range(40):
        steady = steady.after(100, 0.1, float(batch))
        odd = odd.after(100, 0.05 if batch % 2 else 0.15, float(batch))
    assert steady.spare(40.0) < 1e-9
    assert 0.03 < odd.spare(40.0) < 0.15
    assert odd.spare(100.0) < 0.001


def test_one_slow_batch_says_little() -> None:
    assert Speed(1000.0).after(10, 0.1, 0.0).at(0.0) > 500.0
