"""Inject faults one after the other, judge what clients and operators see, print a table: `scripts/faults`."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.servers import elasticsearch

from hardening.faults.bench import Bench, Fault, as_json
from hardening.faults.catalog import FAULTS, write_table
from hardening.faults.laws import Verdict


async def inject(url: str, model: str, faults: Sequence[Fault], timeout: float) -> dict[str, Verdict]:
    """Inject these faults, and return what was seen of each by its name."""
    verdicts: dict[str, Verdict] = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with Bench(url, model, Path(folder), timeout) as bench:
            for fault in faults:
                began = time.monotonic()
                verdicts[fault.name] = await judged(bench, fault)
                print(row(fault, verdicts[fault.name], time.monotonic() - began), flush=True)
    return verdicts


async def judged(bench: Bench, fault: Fault) -> Verdict:
    """Inject one fault; what goes wrong in doing so counts against it."""
    try:
        return await fault.run(bench, fault)
    except Exception as problem:
        return Verdict(broken=[f"not judged: {problem!r}"])


def row(fault: Fault, verdict: Verdict, took: float) -> str:
    """Return a line of the report: what was told how often, the latest answer's distance from its limit, the time."""
    told = ", ".join(f"{name} {count}" for name, count in sorted(verdict.told.items()))
    wrong = [*dict.fromkeys(verdict.broken), *dict.fromkeys(verdict.late)]
    slack = "" if verdict.slack == float("-inf") else f"{verdict.slack:+.2f} s"
    line = f"{'BAD' if wrong else 'ok '} {fault.group}: {fault.name} [{told}] {slack} ({took:.1f} s)"
    return "\n    ".join([line, *wrong])


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--only", default="", help="a pattern of names")
    parser.add_argument("--json", type=Path, help="write what was seen into this file")
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds allowed for scoring a search")
    parser.add_argument(
        "--write-docs", action="store_true", help="write the table of docs/operations.md and do no more"
    )
    args = parser.parse_args()
    if args.write_docs:
        write_table()
        return 0
    faults = [fault for fault in FAULTS if re.search(args.only, fault.name)]
    with elasticsearch(args.elasticsearch) as node:
        verdicts = asyncio.run(inject(node, args.model, faults, args.timeout))
    if args.json:
        args.json.write_text(json.dumps({name: as_json(each) for name, each in verdicts.items()}, indent=2) + "\n")
    bad = [name for name, each in verdicts.items() if each.broken or each.late]
    print(f"{len(verdicts)} faults, {len(bad)} with violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
