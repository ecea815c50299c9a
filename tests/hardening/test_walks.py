"""Lists are walked whole while load, configuration and the model's state change (`scripts/walks`, short)."""

from __future__ import annotations

from hardening.walks import prepare, summary, walks


async def test_no_hit_is_lost_or_repeated_while_everything_changes(elasticsearch_url: str) -> None:
    prepare(elasticsearch_url, 500)
    found = summary(await walks(elasticsearch_url, "bundled", lists=24, clients=8))
    assert found["lists"] == 24
    assert (found["repeated"], found["lost"], found["invented"]) == (0, 0, 0)
    assert any(told.startswith("reranked") for told in found["pages"])
    assert "passed remembered" in found["pages"]
