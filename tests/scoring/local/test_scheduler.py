"""The loop that runs batches: who is served, who is dropped, what is run once.

``Gate`` stands in for a model: only a device that can be held mid-batch shows what waits behind it.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from sidecar.errors import BackendFailed, DeadlineExceeded, Overloaded
from sidecar.scoring.local.backend import Logits, Pending
from sidecar.scoring.local.entries import Entry
from sidecar.scoring.local.scheduler import Scheduler
from sidecar.scoring.local.tokenization import EncodedPair

FOREVER = float("inf")


def pair(first: int, length: int = 4) -> EncodedPair:
    """Return a pair whose score is ``first``."""
    ids = np.array([first] + [0] * (length - 1), np.int32)
    return EncodedPair(ids, np.zeros(length, np.int32), ids.tobytes())


class Gate:
    """A backend that scores a pair by its first id, one batch each time ``let`` is called."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failure: Exception | None = None
        self.answer: Logits | None = None
        self.labels = 1
        self.budget = 1000
        self.budgets: Sequence[int] = (1000,)
        self.depth = 1
        self.grid = 2.0**-12
        self._entered = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def start(self, pairs: Sequence[EncodedPair]) -> Pending:
        batch = [int(p.ids[0]) for p in pairs]
        self.batches.append(batch)
        self._entered.release()

        def finish() -> Logits:
            self._open.acquire()
            if self.failure is not None:
                raise self.failure
            return np.array([[float(first)] for first in batch], np.float32) if self.answer is None else self.answer

        return finish

    def stats(self) -> dict[str, float]:
        return {}

    def describe(self) -> dict[str, Any]:
        return {}

    async def entered(self) -> None:
        """Wait until a batch is on the device."""
        await asyncio.to_thread(self._entered.acquire)

    def let(self, batches: int = 1000) -> None:
        """Let so many batches through."""
        self._open.release(batches)


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(gate: Gate, clock: Clock) -> Iterator[Scheduler]:
    scheduler = Scheduler([gate], clock=clock)
    yield scheduler
    gate.let()
    scheduler.close()


async def values(entry: Entry) -> list[float]:
    return [float(row[0]) for row in await entry.future]


async def test_each_job_gets_its_own_rows_in_order(scheduler: Scheduler, gate: Gate) -> None:
    gate.let()
    gate.budget = 12
    entries = [scheduler.submit([pair(10 * i + k, 3 + (i * k) % 5) for k in range(7)], FOREVER) for i in range(1, 6)]
    found = await asyncio.gather(*map(values, entries))
    assert found == [[10 * i + k for k in range(7)] for i in range(1, 6)]
    assert sorted(itertools.chain(*gate.batches)) == sorted(10 * i + k for i in range(1, 6) for k in range(7))


async def test_a_big_request_is_split_under_the_budget(scheduler: Scheduler, gate: Gate) -> None:
    gate.let()
    gate.budget = 12
    assert await values(scheduler.submit([pair(i) for i in range(8)], FOREVER)) == list(range(8))
    assert [len(batch) for batch in gate.batches] == [3, 3, 2]


async def test_cancelled_pairs_never_reach_the_device(scheduler: Scheduler, gate: Gate) -> None:
    running = scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    dropped, kept = scheduler.submit([pair(2)], FOREVER), scheduler.submit([pair(3)], FOREVER)
    dropped.future.cancel()
    gate.let()
    assert await values(running) == [1]
    assert await values(kept) == [3]
    assert gate.batches == [[1], [3]]


async def test_expired_pairs_never_reach_the_device(scheduler: Scheduler, gate: Gate, clock: Clock) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    late, kept = scheduler.submit([pair(2)], 5.0), scheduler.submit([pair(3)], 6.0)
    clock.now = 5.0
    gate.let()
    with pytest.raises(DeadlineExceeded):
        await late.future
    assert await values(kept) == [3]
    assert gate.batches == [[1], [3]]


async def test_deadlines_then_arrivals_then_background(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    gate.budget = 4
    behind = [
        scheduler.submit([pair(2)], FOREVER, background=True),
        scheduler.submit([pair(3)], FOREVER),
        scheduler.submit([pair(4)], 9.0),
        scheduler.submit([pair(5)], 7.0),
        scheduler.submit([pair(6)], 9.0),
    ]
    assert scheduler.waiting_pairs() == 5
    gate.let()
    await asyncio.gather(*map(values, behind))
    assert gate.batches == [[1], [5], [4], [6], [3], [2]]


async def test_small_requests_behind_a_big_one_share_its_batches(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(0)], FOREVER)
    await gate.entered()
    gate.budget = 40
    entries = [scheduler.submit([pair(100 * i + k) for k in range(8)], FOREVER) for i in range(1, 6)]
    gate.let()
    await asyncio.gather(*map(values, entries))
    assert [len(batch) for batch in gate.batches] == [1, 10, 10, 10, 10]


async def test_what_is_required_of_all_runs_before_what_more_there_is_of_any(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    gate.budget = 8
    first = scheduler.submit([pair(10 + k) for k in range(4)], FOREVER, required=2)
    second = scheduler.submit([pair(20 + k) for k in range(4)], FOREVER, required=2)
    gate.let()
    assert [await values(first), await values(second)] == [[10, 11, 12, 13], [20, 21, 22, 23]]
    assert gate.batches[1:] == [[10, 11], [20, 21], [12, 22], [13, 23]]


async def test_one_caller_s_many_searches_do_not_hold_up_another_s(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    gate.budget = 4
    greedy = [
        scheduler.submit([pair(10 * i + k, 4) for k in range(3)], FOREVER, required=0, caller=b"greedy")
        for i in range(1, 4)
    ]
    modest = scheduler.submit([pair(100 + k) for k in range(3)], FOREVER, required=0, caller=b"modest")
    gate.let()
    await asyncio.gather(*map(values, [*greedy, modest]))
    assert [batch for [batch] in gate.batches[1:7]] == [10, 100, 20, 101, 30, 102]


async def test_a_search_ends_with_its_best_pairs_when_there_is_no_time_for_more(
    scheduler: Scheduler, gate: Gate, clock: Clock
) -> None:
    gate.budget = 8
    entry = scheduler.submit([pair(k) for k in range(6)], 10.0, required=2)
    for second in (4.0, 9.95):
        await gate.entered()
        clock.now = second
        gate.let(1)
    assert await values(entry) == [0, 1, 2, 3]
    assert gate.batches == [[0, 1], [2, 3]]
    assert scheduler.stats()["tokens_thrown_away_total"] == 0


async def test_what_is_given_up_gives_its_best_pairs_if_they_are_enough(scheduler: Scheduler, gate: Gate) -> None:
    gate.budget = 8
    enough, few = (scheduler.submit([pair(10 * i + k) for k in range(6)], 10.0, required=i) for i in (2, 4))
    for _ in range(2):
        await gate.entered()
        gate.let(1)
    await gate.entered()
    assert [float(row[0]) for row in scheduler.give_up(enough) or []] == [20, 21]
    assert scheduler.give_up(few) is None
    gate.let()
    later = scheduler.submit([pair(1)], FOREVER)
    assert await values(later) == [1]
    assert gate.batches == [[20, 21], [40, 41], [42, 43], [1]]
    assert scheduler.stats()["tokens_run_total"] == 28
    assert scheduler.stats()["tokens_thrown_away_total"] == 16


async def test_what_cannot_be_done_in_time_is_refused_at_once(gate: Gate, clock: Clock) -> None:
    scheduler = Scheduler([gate], clock=clock, speeds=[10.0])
    gate.budget = 8
    held = scheduler.submit([pair(k) for k in range(4)], 4.0, required=4)
    await gate.entered()
    with pytest.raises(Overloaded):
        scheduler.submit([pair(9) for _ in range(10)], 4.0, required=5, caller=b"other")
    assert scheduler.room(4.0) == pytest.approx(8.0 * 4.0 - 8 - 8)
    small = scheduler.submit([pair(9)], 4.0, required=1, caller=b"other")
    gate.let()
    assert [len(await values(entry)) for entry in (held, small)] == [4, 1]
    scheduler.close()


async def test_identical_pairs_that_wait_run_once(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    entries = [scheduler.submit([pair(2), pair(3)], FOREVER), scheduler.submit([pair(3), pair(4), pair(2)], FOREVER)]
    gate.let()
    assert [await values(entry) for entry in entries] == [[2, 3], [3, 4, 2]]
    assert sorted(itertools.chain(*gate.batches)) == [1, 2, 3, 4]
    assert scheduler.stats()["coalesced_pairs_total"] == 2


async def test_a_pair_on_the_device_serves_those_that_come_while_it_runs(scheduler: Scheduler, gate: Gate) -> None:
    first = scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    second = scheduler.submit([pair(1), pair(1)], FOREVER)
    gate.let()
    assert await values(first) == [1]
    assert await values(second) == [1, 1]
    assert gate.batches == [[1]]
    assert second.finished is not None


async def test_cancelling_a_job_leaves_the_same_pair_to_others(scheduler: Scheduler, gate: Gate) -> None:
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    gone, stays = scheduler.submit([pair(2)], FOREVER), scheduler.submit([pair(2)], FOREVER)
    gone.future.cancel()
    gate.let()
    assert await values(stays) == [2]
    assert gate.batches == [[1], [2]]


async def test_the_next_batch_is_started_while_one_runs(gate: Gate) -> None:
    gate.depth, gate.budget = 2, 4
    scheduler = Scheduler([gate])
    entries = [scheduler.submit([pair(i)], FOREVER) for i in range(4)]
    await gate.entered()
    await gate.entered()
    assert gate.batches == [[0], [1]]
    assert not entries[0].future.done()
    gate.let()
    assert [await values(entry) for entry in entries] == [[0], [1], [2], [3]]
    scheduler.close()


async def test_overlapping_batches_are_not_charged_twice(gate: Gate, clock: Clock) -> None:
    gate.depth, gate.budget = 2, 4
    scheduler = Scheduler([gate], clock=clock)
    entries = [scheduler.submit([pair(i)], FOREVER) for i in range(2)]
    await gate.entered()
    await gate.entered()
    clock.now = 10.0
    gate.let(1)
    await entries[0].future
    clock.now = 14.0
    gate.let()
    await entries[1].future
    scheduler.close()
    assert [entry.model_seconds for entry in entries] == [10.0, 4.0]


async def test_a_free_device_takes_what_a_busy_one_cannot() -> None:
    busy, free = Gate(), Gate()
    busy.budget = free.budget = 4
    scheduler = Scheduler([busy, free])
    entries = [scheduler.submit([pair(i)], FOREVER) for i in range(6)]
    await busy.entered()
    await free.entered()
    free.let()
    [held] = busy.batches
    await asyncio.gather(*(values(entry) for i, entry in enumerate(entries) if [i] != held))
    assert len(free.batches) == 5
    busy.let()
    assert [await values(entry) for entry in entries] == [[i] for i in range(6)]
    scheduler.close()


async def test_a_model_that_raises_fails_its_batch_and_the_loop_goes_on(scheduler: Scheduler, gate: Gate) -> None:
    gate.failure = RuntimeError("a bad kernel")
    gate.budget = 4
    failing = scheduler.submit([pair(1), pair(2)], FOREVER)
    await gate.entered()
    gate.let(1)
    with pytest.raises(BackendFailed, match=r"the model raised: RuntimeError.*a bad kernel"):
        await failing.future
    gate.failure = None
    gate.let()
    assert await values(scheduler.submit([pair(3)], FOREVER)) == [3]
    assert gate.batches == [[1], [3]]


@pytest.mark.parametrize("answer", [[[np.nan]], [[np.inf]], [], [1.0]], ids=["nan", "infinite", "too few", "no rows"])
async def test_unusable_scores_fail(scheduler: Scheduler, gate: Gate, answer: list[object]) -> None:
    gate.answer = np.array(answer, np.float32)
    gate.let()
    with pytest.raises(BackendFailed, match="not finite, or not one row for each pair"):
        await scheduler.submit([pair(1)], FOREVER).future


async def test_time_is_split_into_waiting_and_ones_share_of_the_model(gate: Gate, clock: Clock) -> None:
    scheduler = Scheduler([gate], clock=clock)
    scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    long, short = scheduler.submit([pair(2, 6)], FOREVER), scheduler.submit([pair(3, 2)], FOREVER)
    clock.now = 10.0
    gate.let(1)
    await gate.entered()
    clock.now = 18.0
    gate.let()
    await asyncio.gather(short.future, long.future)
    scheduler.close()
    assert (short.model_seconds, short.queue_seconds) == (2.0, 16.0)
    assert (long.model_seconds, long.queue_seconds) == (6.0, 12.0)


async def test_a_thread_that_hangs_is_replaced(scheduler: Scheduler, gate: Gate, clock: Clock) -> None:
    hung = scheduler.submit([pair(1)], FOREVER)
    await gate.entered()
    clock.now = 9.0
    assert not scheduler.stalled()
    clock.now = 59.0
    assert scheduler.stalled()
    assert (scheduler.hanging(), scheduler.restarts) == (0, 0)
    clock.now = 61.0
    served = scheduler.submit([pair(2)], FOREVER)
    with pytest.raises(BackendFailed, match="the model hangs"):
        await hung.future
    await gate.entered()
    gate.let()
    assert await values(served) == [2]
    assert (scheduler.hanging(), scheduler.restarts) == (0, 1)


async def test_a_device_that_hangs_again_and_again_is_left_alone(
    scheduler: Scheduler, gate: Gate, clock: Clock
) -> None:
    for hang in range(9):
        scheduler.submit([pair(hang)], FOREVER)
        await gate.entered()
        clock.now += 61.0
    assert (scheduler.hanging(), scheduler.restarts) == (1, 8)


@pytest.mark.parametrize("failure", [SystemExit(1), KeyboardInterrupt()], ids=repr)
async def test_nothing_that_a_model_raises_ends_the_thread(
    scheduler: Scheduler, gate: Gate, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Sequence[EncodedPair]) -> Pending:
        monkeypatch.undo()
        raise failure

    monkeypatch.setattr(gate, "start", failing)
    with pytest.raises(BackendFailed, match="the scoring thread failed"):
        await scheduler.submit([pair(1)], FOREVER).future
    gate.let()
    assert await values(scheduler.submit([pair(2)], FOREVER)) == [2]
    assert scheduler.restarts == 1


async def test_a_dead_thread_is_replaced(scheduler: Scheduler, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    [worker] = scheduler._workers
    worker.abandoned = True  # it ends after its next batch
    gate.let()
    await values(scheduler.submit([pair(1)], FOREVER))
    assert worker.thread is not None
    worker.thread.join()
    assert await values(scheduler.submit([pair(2)], FOREVER)) == [2]
    assert (scheduler.hanging(), scheduler.restarts) == (0, 1)


async def test_what_cannot_be_formed_into_a_batch_fails(
    scheduler: Scheduler, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("sidecar.scoring.local.queue.next_batch", broken)
    with pytest.raises(BackendFailed, match="a bug"):
        await scheduler.submit([pair(1)], FOREVER).future
    monkeypatch.undo()
    gate.let()
    assert await values(scheduler.submit([pair(2)], FOREVER)) == [2]
