"""What `scripts/bench users` counts, and a short round of it: every search is told of, and none is answered wrongly."""

from __future__ import annotations

import itertools

from benchmarks.bench_users import free_port, measured, summary
from benchmarks.servers import fill, search_body, sidecar
from benchmarks.texts import Texts


def head(told: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nX-Rescore: {told}\r\n\r\n".encode()


def test_what_is_counted() -> None:
    told = [
        "reranked; window=100; model=m",
        "reranked; window=40; of=100; reason=budget; model=m",
        "passed; reason=overloaded",
        "failed; reason=deadline",
    ]
    found = summary([0.1, 0.2, 0.01, 0.5], [head(each) for each in told])
    assert (found["searches"], found["mean_window"]) == (4, 70)
    assert [found[f"share_{name}"] for name in ("reranked", "overloaded", "failed")] == [0.5, 0.25, 0.25]
    assert found["overloaded"]["p50"] == 10.0


async def test_users_are_answered(elasticsearch_url: str) -> None:
    texts, port = Texts(), free_port()
    fill(elasticsearch_url, "bench", [texts.document() for _ in range(300)])
    bodies = itertools.cycle([search_body(texts.words(4), 10) for _ in range(500)])
    settings = {
        "upstream": {"urls": [elasticsearch_url]},
        "engine": {"model": "bundled"},
        "admin": {"port": port},
        "indices": {"bench": {"fields": ["text"], "timeout": "5s"}},
    }
    with sidecar(settings) as through:
        admin = f"http://127.0.0.1:{port}"
        row = await measured(elasticsearch_url, through, admin, lambda: next(bodies), users=4, think=0.0, seconds=1.0)
    assert row["searches"] >= 4
    assert row["share_reranked"] + row["share_passed"] + row["share_failed"] == 1.0
    assert row["share_reranked"] > 0
    assert 0 <= row["thrown_away"] <= 1
    assert row["mean_window"] >= 10
