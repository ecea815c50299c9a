"""What an answer says: its hits as a run, and what became of the rescoring. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

DIRECT: Final = "direct"
RERANKED: Final = "reranked"


def read_hits(body: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return ids and scores in the answer's order; of hits with one id the first counts, as runs hold an id once.

    Hits without a score (sorted searches) get falling ones, which keep their order.
    """
    found: dict[str, float] = {}
    for rank, hit in enumerate(body["hits"]["hits"]):
        score = hit.get("_score")
        found.setdefault(str(hit["_id"]), float(-rank if score is None else score))
    return list(found.items())


def outcome(headers: Mapping[str, str]) -> str:
    """Return `reranked`, or `passed: reason`, from `X-Rescore`; `direct` where there is none."""
    said = headers.get("x-rescore")
    if said is None:
        return DIRECT
    head, _, rest = said.partition(";")
    reason = re.search(r"reason=([^;]+)", rest)
    return head.strip() if reason is None else f"{head.strip()}: {reason[1].strip()}"


def stages(headers: Mapping[str, str]) -> dict[str, float]:
    """Return the stages of `Server-Timing` (W3C), in milliseconds."""
    return {name: float(ms) for name, ms in re.findall(r"([\w-]+);dur=([0-9.]+)", headers.get("server-timing", ""))}
