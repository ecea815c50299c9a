"""The short versions of `scripts/replace` and `scripts/slow-clients`, on a real node: counted, not timed."""

from __future__ import annotations

from pathlib import Path

from hardening import slow_clients
from hardening.replace import replace

from tests.checkpoints import make_checkpoint


async def test_a_sidecar_that_is_replaced_under_bulk_indexing_and_searches_fails_no_request(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    assert await replace(elasticsearch_url, str(make_checkpoint(tmp_path)), documents=4000, clients=4, times=2) == []


async def test_slow_clients_of_every_kind_fail_no_request_of_a_normal_one(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    slow_clients.prepare(elasticsearch_url)
    model = str(make_checkpoint(tmp_path))
    report = await slow_clients.measure(elasticsearch_url, model, idle=100, slow=300, requests=20, rounds=1)
    assert report.failures == []
    assert (len(report.beside), report.held) == (20, 700)
