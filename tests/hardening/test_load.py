"""The short version of `scripts/load`: what is counted, not what is timed."""

from __future__ import annotations

import json
from pathlib import Path

from hardening import load
from hardening.load import Plan, Report, as_json, percentile

from tests.checkpoints import make_checkpoint


async def test_under_three_times_the_load_that_can_be_scored_no_request_fails(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    load.prepare(elasticsearch_url, 300)
    engine = {"model": str(make_checkpoint(tmp_path)), "backend": "onnx", "token_budget": 1024, "threads": 1}
    report = await load.measure(elasticsearch_url, engine, Plan(seconds=8, capacity_seconds=2))
    assert report.failures == []
    assert min(report.sent[kind] for kind in ("search", "passing", "bulk")) > 0
    assert report.told["reranked"] > 0
    assert report.pairs > 0
    assert sum(report.told.values()) == report.sent["search"] == len(report.beyond)
    assert json.loads(as_json(report))["ratios"]["failed requests"] == 0


def test_each_limit_that_is_missed_is_told() -> None:
    sound = Report(capacity=100.0, passing_unloaded=0.01, seconds=10.0, pairs=900.0, memory=[1 << 20] * 10)
    assert sound.faults() == []
    sound.beyond, sound.passing = [0.0] * 97 + [0.1] * 3, [0.01] * 97 + [0.03] * 3
    sound.failures, sound.pairs, sound.memory = ["search: x"], 800.0, [100 << 20] * 5 + [200 << 20] * 5
    assert len(sound.faults()) == 5


def test_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0], percent) for percent in (0, 50, 99)] == [1.0, 2.0, 3.0]
    assert percentile([], 99) == 0.0
