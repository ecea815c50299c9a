"""The measurements of the engine benchmark besides the rounds: peak, concurrency, repeats, tokenization, memory."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.engine_models import Request, Shape

_ROWS = 2048


def timed(work: Callable[[], Any]) -> float:
    """Return how long one call takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def gemm_peak(shape: Shape, device: str, dtype: str, threads: int) -> float:
    """Return flop/s of the shape's own matrix products, 2048 tokens tall: the best of many runs."""
    import torch

    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    width, inner = shape.width, shape.inner
    flops, seconds = 0.0, 0.0
    for wide, tall in ((width, 3 * width), (width, width), (width, inner), (inner, width)):
        rows, weight = torch.randn(_ROWS, wide, device=device).to(kind), torch.randn(tall, wide, device=device).to(kind)

        def product(rows: Any = rows, weight: Any = weight) -> None:
            torch.nn.functional.linear(rows, weight)
            if device != "cpu":
                torch.cuda.synchronize()

        with torch.inference_mode():
            seconds += min(timed(product) for _ in range(40))
        flops += 2.0 * _ROWS * wide * tall
    return flops / seconds


def concurrent(directory: Path, device: str, threads: int, work: Sequence[Request], rounds: int) -> dict[str, Any]:
    """Let 16 clients send requests of 100 in turn, against the same pairs given all at once; documents differ."""
    return asyncio.run(_concurrent(directory, device, threads, work, rounds))


async def _concurrent(
    directory: Path, device: str, threads: int, work: Sequence[Request], rounds: int
) -> dict[str, Any]:
    from sidecar.config import model as config
    from sidecar.scoring.local.engine import Engine
    from sidecar.scoring.scorer import ScoreRequest

    uncached = {"document_cache": 0, "score_cache": 0}
    engine = Engine(config.Engine(model=str(directory), device=device, threads=threads, **uncached))
    await engine.start()
    each = [ScoreRequest(query=request.query, documents=request.documents) for request in work]
    whole = ScoreRequest(query=work[0].query, documents=[text for request in work for text in request.documents])
    clients, latencies, offline, online = 16, [], [], []

    async def client(requests: Sequence[ScoreRequest]) -> None:
        for request in requests:
            started = time.perf_counter()
            await engine.score(request)
            latencies.append(time.perf_counter() - started)

    await engine.score(each[0])
    for _ in range(rounds):
        started = time.perf_counter()
        await engine.score(whole)
        offline.append(len(whole.documents) / (time.perf_counter() - started))
        started = time.perf_counter()
        await asyncio.gather(*(client(each[number::clients]) for number in range(clients)))
        online.append(len(whole.documents) / (time.perf_counter() - started))
    await engine.close()
    ideal = clients * len(work[0].documents) / statistics.median(offline)
    return {
        "offline_documents_per_second": statistics.median(offline),
        "concurrent_documents_per_second": statistics.median(online),
        "ratio": statistics.median(o / f for o, f in zip(online, offline, strict=True)),
        "p50_ms": report.percentile(latencies, 50),
        "p99_ms": report.percentile(latencies, 99),
        "ideal_ms": ideal * 1000,
        "p99_over_ideal": report.percentile(latencies, 99) / 1000 / ideal,
    }


def tokenization(directory: Path, work: Sequence[Request]) -> dict[str, float]:
    """Time tokenization and join of 100 pairs, new and cached, and transformers' `tokenizer(pairs)`; milliseconds."""
    import transformers

    from sidecar.config import model as config
    from sidecar.scoring.local.loaded import load
    from sidecar.scoring.scorer import ScoreRequest

    library: Any = transformers
    theirs = library.AutoTokenizer.from_pretrained(directory)
    loaded = load(config.Model(model=str(directory)), config.Engine())
    times: dict[str, list[float]] = {"transformers": [], "cold": [], "cached": []}
    for request in work:
        pairs = ([request.query] * len(request.documents), list(request.documents))
        cold = ScoreRequest(query=request.query, documents=request.documents)
        again = ScoreRequest(query=f"{request.query} again", documents=request.documents)
        times["transformers"].append(timed(lambda p=pairs: theirs(*p, truncation="longest_first", max_length=512)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        times["cold"].append(timed(lambda r=cold: list(loaded.encoding(r))))  # type: ignore[misc]  # the same
        times["cached"].append(timed(lambda r=again: list(loaded.encoding(r))))  # type: ignore[misc]  # the same
    loaded.scheduler.close()
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        **{f"{name}_ms": value * 1000 for name, value in medians.items()},
        "cold_ratio": medians["transformers"] / medians["cold"],
        "cached_ratio": medians["transformers"] / medians["cached"],
        "second_search_share": medians["cached"] / medians["cold"],
    }


_MEMORY = """
import json, sys
from sidecar.scoring import CrossEncoder
given = json.loads(sys.argv[1])
with CrossEncoder(given["model"], **given["settings"]) as encoder:
    for request in given["requests"]:
        encoder.predict([(request["query"], document) for document in request["documents"]])
    status = open("/proc/self/status").read()
sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("Vm")}
print(json.dumps({"mb": sizes["VmRSS"], "most_mb": sizes["VmHWM"], "torch_imported": "torch" in sys.modules}))
"""


def memory(directory: Path, work: Sequence[Request], **settings: Any) -> dict[str, Any]:
    """Return the resident memory of a fresh process that scored these requests."""
    given = {
        "model": str(directory),
        "settings": {"cache_dir": str(directory / "cache"), **settings},
        "requests": [{"query": request.query, "documents": list(request.documents)} for request in work],
    }
    words = [sys.executable, "-c", _MEMORY, json.dumps(given)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"measuring memory failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def mean_tokens(directory: Path, work: Sequence[Request]) -> float:
    """Return the mean length of pairs, in tokens."""
    from sidecar.scoring.local.tokenization import PairTokenizer, load_tokenizer

    tokenizer = PairTokenizer(load_tokenizer(directory), 512)
    lengths = []
    for request in work:
        [query, *documents] = tokenizer.encode([request.query, *request.documents])
        lengths += [len(pair) for pair in tokenizer.join(query, documents)]
    return float(np.mean(lengths))
