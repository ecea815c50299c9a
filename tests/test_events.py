"""Records: the headers they become."""

from __future__ import annotations

from sidecar.events import RescoreRecord, summary
from sidecar.reasons import Reason


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
