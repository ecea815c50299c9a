"""The scoring engine against its peers: same weights, same pairs, same threads, one process, rounds in turn.

Each contender goes from texts to scores, 100 documents a query. Scores are compared first: one that disagrees stops
the run. The share of the peak is the whole model's linear arithmetic over the time that it took; ours compute of the
last layer only what the head reads, so their share may pass what their multiplications alone would give. The peers
live in an environment of their own, `.cache/bench`, made from `uv.lock` at the first run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report

_ROOT = Path(__file__).parents[2]
_PAUSE = 0.05  # seconds between contenders: worker threads of the last one stop spinning


def main(words: list[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/bench engine", description=__doc__)
    parser.add_argument("--device", default="cpu", help="`cpu` or `cuda` (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the L2 and L4 shapes (default: %(default)s)")
    parser.add_argument("--shapes", nargs="+", default=["L4", "L2", "L6"], choices=["L2", "L4", "L6"])
    parser.add_argument("--no-long", action="store_true", help="leave out documents of 512 tokens")
    args = parser.parse_args(words)
    if importlib.util.find_spec("sentence_transformers") is None:
        _again_with_peers(words)
    where = report.machine()
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as folder:
        figures = _measure(args, Path(folder))
    print("written to", report.write(f"engine-{args.device}", figures, where))
    print("plot:", _plot(figures["rounds"], args.device))
    return 0


def _again_with_peers(words: list[str]) -> None:
    """Make the environment with the peers, and run there instead."""
    uv = shutil.which("uv") or str(Path.home() / ".cache/rescoring-sidecar/tools/bin/uv")
    home = _ROOT / ".cache" / "bench"
    sync = [uv, "sync", "--quiet", "--frozen", "--python", sys.executable]
    groups = ["--group", "bench", "--extra", "torch", "--extra", "eval"]
    done = subprocess.run([*sync, *groups], cwd=_ROOT, env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(home)})
    if done.returncode:
        sys.exit("the peers could not be installed: is PyPI reachable (HTTPS_PROXY, UV_INDEX_URL)?")
    python = str(home / "bin" / "python")
    os.execv(python, [python, "-m", "benchmarks", "engine", *words])


def _measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from transformers.utils import logging as transformers_logging

    from benchmarks import engine_measures as measures
    from benchmarks.engine_models import SHAPES, checkpoint, requests

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types here
    directories = {name: checkpoint(SHAPES[name], folder / name) for name in args.shapes}
    settings = (args.device, args.threads)
    rounds = {}
    for name, directory in directories.items():
        count = max(1, args.rounds // 3) if name == "L6" else args.rounds
        rounds[name] = _rounds(name, directory, *settings, requests(count + 1))
    first = args.shapes[0]
    if not args.no_long:
        work = requests(max(1, args.rounds // 5) + 1, long=True)
        rounds[f"{first}, 512 tokens"] = _rounds(first, directories[first], *settings, work)
    found: dict[str, Any] = {"device": args.device, "threads": args.threads, "rounds": rounds}
    found["concurrent"] = measures.concurrent(directories[first], *settings, requests(32), max(1, args.rounds // 5))
    found["tokenization"] = measures.tokenization(directories[first], requests(max(3, args.rounds)))
    if args.device == "cpu":
        found["memory"] = {
            backend: measures.memory(directories[first], requests(2), backend=backend, threads=args.threads)
            for backend in ("torch", "onnx")
        }
    _print_others(found, first)
    return found


def _rounds(name: str, directory: Path, device: str, threads: int, work: Sequence[Any]) -> dict[str, Any]:
    from benchmarks import engine_measures as measures
    from benchmarks.engine_contenders import contenders
    from benchmarks.engine_models import SHAPES

    tokens = measures.mean_tokens(directory, work)
    peaks = {dtype: measures.gemm_peak(SHAPES[name], device, dtype, threads) for dtype in ("float32", "bfloat16")}
    with contenders(directory, device, threads, work[0]) as everyone:
        everyone = _alike(everyone, work[0])
        times = _times(everyone, work[1:])
    documents = len(work[0].documents)
    flops = tokens * SHAPES[name].linear_flops * documents
    rows = [_row(each, times[each.name], documents, flops, peaks["float32"]) for each in everyone]
    found = {"mean_tokens": tokens, "gemm_flops": peaks, "contenders": rows, **_ratios(rows, times)}
    _print_rounds(f"{name}, {tokens:.0f} tokens a pair", found)
    return found


def _alike(everyone: Sequence[Any], request: Any) -> list[Any]:
    """Return the contenders that compute the same scores; a peer that loses them to its arithmetic is left out."""
    from benchmarks.engine_contenders import disagreement

    kept, reference = [], everyone[0].score(request.query, request.documents)
    for each in everyone:
        problem = disagreement(reference, each.score(request.query, request.documents), each.exact)
        if problem and (each.ours or each.exact):
            sys.exit(f"{each.name} {problem}: the contenders do not compute the same scores")
        if problem:
            print(f"{each.name} {problem}: left out")
        else:
            kept.append(each)
    return kept


def _times(everyone: Sequence[Any], work: Sequence[Any]) -> dict[str, list[float]]:
    """Score each request with every contender, who goes first changing each round; seconds."""
    times: dict[str, list[float]] = {each.name: [] for each in everyone}
    for number, request in enumerate(work):
        turn = number % len(everyone)
        for each in [*everyone[turn:], *everyone[:turn]]:
            time.sleep(_PAUSE)
            started = time.perf_counter()
            each.score(request.query, request.documents)
            times[each.name].append(time.perf_counter() - started)
    return times


def _row(each: Any, times: list[float], documents: int, flops: float, peak: float) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "name": each.name,
        "ours": each.ours,
        "exact": each.exact,
        "documents_per_second": documents / median,
        "share_of_fp32_gemm_peak": flops / median / peak,
        "p50_ms": report.percentile(times, 50),
        "p99_ms": report.percentile(times, 99),
    }


def _ratios(rows: Sequence[dict[str, Any]], times: dict[str, list[float]]) -> dict[str, Any]:
    """Return the ratio of each of ours to the default and the best fp32 peer: the median over rounds."""
    peers = [row for row in rows if not row["ours"] and row["exact"]]
    best = max(peers, key=lambda row: row["documents_per_second"])["name"]

    def faster(ours: str, peer: str) -> float:
        return statistics.median(theirs / own for theirs, own in zip(times[peer], times[ours], strict=True))

    others = [row["name"] for row in rows if not row["ours"]]
    ratios = {row["name"]: {peer: faster(row["name"], peer) for peer in others} for row in rows if row["ours"]}
    return {"best_fp32_peer": best, "ratios": ratios}


def _print_rounds(title: str, found: dict[str, Any]) -> None:
    print(f"\n{title}; fp32 GEMM peak {found['gemm_flops']['float32'] / 1e9:.0f} GFLOP/s,", end=" ")
    print(f"bf16 {found['gemm_flops']['bfloat16'] / 1e9:.0f}; best fp32 peer: {found['best_fp32_peer']}")
    default, best = "sentence-transformers", found["best_fp32_peer"]
    print(f"{'':45} {'docs/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'of peak':>8} {'x default':>9} {'x best':>7}")
    for row in found["contenders"]:
        ratios = found["ratios"].get(row["name"], {})
        print(f"{row['name']:45} {row['documents_per_second']:8.0f} {row['p50_ms']:8.1f} {row['p99_ms']:8.1f}", end=" ")
        print(f"{row['share_of_fp32_gemm_peak']:8.0%}", end=" ")
        print(f"{ratios[default]:9.2f} {ratios[best]:7.2f}" if ratios else "")


def _print_others(found: dict[str, Any], shape: str) -> None:
    many, words = found["concurrent"], found["tokenization"]
    print(f"\n{shape}, 16 clients, auto: {many['concurrent_documents_per_second']:.0f} documents/s", end=" ")
    print(f"= {many['ratio']:.2f} of offline; p50 {many['p50_ms']:.0f} ms, p99 {many['p99_ms']:.0f} ms", end=" ")
    print(f"= {many['p99_over_ideal']:.2f} of the ideal {many['ideal_ms']:.0f} ms")
    print(f"tokenization of 100 pairs: transformers {words['transformers_ms']:.2f} ms,", end=" ")
    print(f"ours {words['cold_ms']:.2f} ms ({words['cold_ratio']:.1f} times as fast),", end=" ")
    print(f"cached {words['cached_ms']:.2f} ms ({words['cached_ratio']:.1f} times)", end=" ")
    print(f"= {words['second_search_share']:.0%} of the first search's")
    for backend, row in found.get("memory", {}).items():
        print(f"resident memory with {backend}: {row['mb']:.0f} MB (torch imported: {row['torch_imported']})")


def _plot(rounds: dict[str, Any], device: str) -> Path:
    """Draw documents/s of every contender, one panel a shape."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(rounds), 1, figsize=(9, 3.2 * len(rounds)), squeeze=False)
    for panel, (name, found) in zip(panels[:, 0], rounds.items(), strict=True):
        rows = sorted(found["contenders"], key=lambda row: row["documents_per_second"])
        colours = ["tab:blue" if row["ours"] else "tab:grey" for row in rows]
        panel.barh([row["name"] for row in rows], [row["documents_per_second"] for row in rows], color=colours)
        panel.set_title(f"{name}: documents/s, {found['mean_tokens']:.0f} tokens a pair")
    figure.tight_layout()
    file = Path("bench-results") / f"engine-{device}.png"
    figure.savefig(file)
    return file
