"""Records: the headers they become."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.observing.records import FanOut, RescoreRecord, SearchStart, ShadowRecord, Tell, summary, watched
from sidecar.reasons import Reason
from tests.rescoring.conftest import Told


def test_single_searches() -> None:
    assert RescoreRecord(outcome="reranked", window=5, model="m").header() == "reranked; window=5; model=m"
    assert RescoreRecord(outcome="passed", reason=Reason.SORTED).header() == "passed; reason=sorted"
    timed = RescoreRecord(outcome="reranked", elasticsearch=0.01, queue=0.002, tokenize=0.0004, model_time=0.1)
    assert timed.server_timing() == "es;dur=10.0, queue;dur=2.0, tokenize;dur=0.4, model;dur=100.0"


def test_several_searches() -> None:
    parts = [
        RescoreRecord(outcome="reranked", elasticsearch=0.01, queue=0.001, model_time=0.02),
        RescoreRecord(outcome="reranked", elasticsearch=0.01, queue=0.025, model_time=0.03),
        RescoreRecord(outcome="passed", reason=Reason.SORTED),
    ]
    assert summary(parts).header() == "reranked; reranked=2; passed=1; failed=0"
    assert summary(parts).server_timing() == "es;dur=10.0, queue;dur=5.0, tokenize;dur=0.0, model;dur=50.0"
    assert summary([*parts, RescoreRecord(outcome="failed")]).outcome == "failed"
    assert summary(parts[2:]).header() == "passed; reranked=0; passed=1; failed=0"


class _Broken:
    """An observer that fails at a given moment."""

    def __init__(self, when: str) -> None:
        self._when = when

    @contextmanager
    def search(self, start: SearchStart) -> Iterator[Tell]:
        self._fail("start")
        yield lambda record: self._fail("tell")
        self._fail("end")

    def shadow(self, record: ShadowRecord) -> None:
        self._fail("shadow")

    def _fail(self, moment: str) -> None:
        if self._when == moment:
            raise ZeroDivisionError(moment)


@pytest.mark.parametrize("moment", ["start", "tell", "end", "shadow"])
def test_an_observer_that_fails_costs_a_line_of_the_log_alone(moment: str, caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    observer = FanOut(_Broken(moment), told)
    ticks = iter([1.0, 3.5])
    start = SearchStart(endpoint="msearch", headers={"x-opaque-id": "me"})
    with watched(observer, start, lambda: next(ticks)) as tell:
        tell(RescoreRecord(outcome="passed", reason=Reason.SORTED))
    observer.shadow(ShadowRecord(mapping="m", kendall_tau=1.0, overlap_at_10=1.0, seconds=0.1))
    [record] = told.searches
    assert (record.reason, record.endpoint, record.opaque_id, record.total) == ("sorted", "msearch", "me", 2.5)
    assert len(told.shadows) == 1
    assert [line.exc_text is not None for line in caplog.records] == [True]


def test_observers_are_left_with_what_ended_a_search() -> None:
    seen: list[BaseException | None] = []

    class Watching(_Broken):
        @contextmanager
        def search(self, start: SearchStart) -> Iterator[Tell]:
            try:
                yield lambda record: None
            except BaseException as problem:
                seen.append(problem)
                raise

    with (
        pytest.raises(KeyError),
        watched(FanOut(Watching("never")), SearchStart(endpoint="search", headers={})),
    ):
        raise KeyError
    assert [type(problem) for problem in seen] == [KeyError]
