"""Users who search, read for a while and search again: how many of their searches are rescored, how far, and how soon.

Closed loops of 1, 4 and 16 users, without thinking and with 2 s of it, first at Elasticsearch itself, then through the
sidecar with its defaults and the bundled model, both on the same cores. Queries of four words over 8,000 passages;
pairs have 67 tokens in the mean. Aims: of 4 users without thinking 95 % reranked, 25 hits in the mean, p95 at most
550 ms above Elasticsearch's, 2 % of the model's work thrown away; of 16 nothing fails, `overloaded` takes 10 ms more.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import statistics
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import report
from benchmarks.engine_models import english
from benchmarks.load import closed_loop
from benchmarks.servers import elasticsearch, fill, search_body, sidecar
from benchmarks.texts import Texts

_MEAN_WORDS = 45.0  # 67 tokens with the query
_PATH = "/bench/_search"
_TOLD = re.compile(rb"X-Rescore: (\w+)(?:; window=(\d+))?[^\r]*")
_WORK = re.compile(r"^sidecar_engine_tokens_(run|thrown_away)_total ([\d.e+]+)$", re.MULTILINE)


def summary(latencies: Sequence[float], heads: Sequence[bytes]) -> dict[str, Any]:
    """Return what became of some searches: shares, the mean scored window, and percentiles in milliseconds."""
    told = [found for head in heads if (found := _TOLD.search(head))]
    if len(told) != len(heads):
        raise SystemExit("an answer does not say what became of it")
    outcomes = [found[1].decode() for found in told]
    overloaded = [seconds for seconds, found in zip(latencies, told, strict=True) if b"reason=overloaded" in found[0]]
    scored = [int(found[2]) for found in told if found[1] == b"reranked"]
    return {
        "searches": len(heads),
        **{f"share_{name}": outcomes.count(name) / max(1, len(heads)) for name in ("reranked", "passed", "failed")},
        "share_overloaded": len(overloaded) / max(1, len(heads)),
        "mean_window": statistics.fmean(scored) if scored else 0.0,
        **percentiles(latencies),
        "overloaded": percentiles(overloaded),
    }


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds; nothing of nothing."""
    return {f"p{share}": report.percentile(latencies, share) for share in (50, 95, 99)} if latencies else {}


def work(admin: str) -> dict[str, float]:
    """Return the tokens that the model has run, and those that went into no answer."""
    with urllib.request.urlopen(f"{admin}/metrics") as answer:
        return {name: float(value) for name, value in _WORK.findall(answer.read().decode())}


async def measured(
    direct: str, through: str, admin: str, body: Callable[[], bytes], users: int, think: float, seconds: float
) -> dict[str, Any]:
    """Measure one number of users."""
    alone, _, _ = await closed_loop(direct, _PATH, body, users, seconds, think)
    before = await asyncio.to_thread(work, admin)
    latencies, heads, _ = await closed_loop(through, _PATH, body, users, seconds, think)
    after = await asyncio.to_thread(work, admin)
    run, thrown = (after[name] - before[name] for name in ("run", "thrown_away"))
    found = summary(latencies, heads)
    return {
        "users": users,
        "think": think,
        "elasticsearch": percentiles(alone),
        "thrown_away": thrown / max(1.0, run),
        **found,
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench users", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a round")
    args = parser.parse_args(words)
    where, texts, port = report.machine(), Texts(words=english()), free_port()
    with elasticsearch(args.elasticsearch) as direct:
        fill(direct, "bench", [{"text": texts.passage(_MEAN_WORDS)} for _ in range(8000)])
        settings = {
            "upstream": {"urls": [direct]},
            "engine": {"model": args.model},
            "admin": {"port": port},
            "indices": {"bench": {"fields": ["text"]}},
        }
        with sidecar(settings) as through:
            rows = asyncio.run(_all(direct, through, f"http://127.0.0.1:{port}", texts, args.seconds))
    _print(rows)
    print("written to", report.write("users", {"model": args.model, "rounds": rows}, where))
    return 0


async def _all(direct: str, through: str, admin: str, texts: Texts, seconds: float) -> list[dict[str, Any]]:
    def body() -> bytes:
        return search_body(texts.words(4), 10)

    await closed_loop(through, _PATH, body, 2, seconds / 4)  # warm up
    rounds = [(users, think) for think in (0.0, 2.0) for users in (1, 4, 16)]
    return [await measured(direct, through, admin, body, users, think, seconds) for users, think in rounds]


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print(
        "users think  reranked window overloaded failed thrown    p50    p95    p99   Elasticsearch's  overloaded p95"
    )
    for row in rows:
        shares = f"{row['share_reranked']:9.1%} {row['mean_window']:6.1f} {row['share_overloaded']:10.1%}"
        times = " ".join(f"{row[name]:6.0f}" for name in ("p50", "p95", "p99"))
        alone = " ".join(f"{milliseconds:4.0f}" for milliseconds in row["elasticsearch"].values())
        late = f"{row['overloaded'].get('p95', float('nan')):8.0f}"
        print(
            f"{row['users']:>5} {row['think']:3.0f} s {shares} {row['share_failed']:6.1%} {row['thrown_away']:6.1%}",
            f"{times}   {alone} {late}",
        )
