"""One question, asked of Elasticsearch and of the sidecar: both lists, and where each hit came from. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.demo.collection import Collection, shown_text


@dataclass(frozen=True, slots=True)
class Shown:
    """A hit as people see it. ``before`` is its rank in Elasticsearch's list, from 1; None: not in it."""

    id: str
    title: str
    text: str
    rank: int
    before: int | None

    @property
    def moved(self) -> int:
        """Return by how many ranks the hit rose; negative: fell."""
        return (self.before or self.rank) - self.rank


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both top lists for one question. ``timings`` are milliseconds by stage; ``status`` is `X-Rescore`."""

    question: str
    first_stage: tuple[Shown, ...]
    rescored: tuple[Shown, ...]
    timings: Mapping[str, float]
    status: str


def search_body(question: str, collection: Collection, size: int) -> dict[str, Any]:
    """Return the search that both sides get: BM25 over all fields as if they were one."""
    fields = list(collection.fields)
    return {"query": {"combined_fields": {"query": question, "fields": fields}}, "size": size}


def compare(
    question: str,
    direct: Sequence[Mapping[str, Any]],
    rescored: Sequence[Mapping[str, Any]],
    headers: Mapping[str, str],
    collection: Collection,
) -> Comparison:
    """Put the hits of both answers side by side; ``direct`` reaches down the whole window."""
    ranks = {str(hit["_id"]): rank for rank, hit in enumerate(direct, start=1)}

    def shown(hits: Sequence[Mapping[str, Any]]) -> tuple[Shown, ...]:
        return tuple(_shown(hit, rank, ranks, collection) for rank, hit in enumerate(hits, start=1))

    return Comparison(
        question=question,
        first_stage=shown(direct[: len(rescored)]),
        rescored=shown(rescored),
        timings=server_timing(headers.get("server-timing", "")),
        status=headers.get("x-rescore", "absent"),
    )


def _shown(hit: Mapping[str, Any], rank: int, ranks: Mapping[str, int], collection: Collection) -> Shown:
    source = hit.get("_source") or {}
    name = str(hit["_id"])
    title = shown_text(source, collection.title) if collection.title else ""
    return Shown(name, title or name, shown_text(source, collection.text), rank, ranks.get(name))


def server_timing(header: str) -> dict[str, float]:
    """Read a Server-Timing header (W3C): stage names to milliseconds."""
    return {name: float(duration) for name, duration in re.findall(r"([\w-]+);dur=([0-9.]+)", header)}


def summary(comparisons: Sequence[Comparison]) -> str:
    """Say in one line what changed. It claims no quality: that takes judgments."""
    done = [each for each in comparisons if each.status.startswith("reranked")]
    if not done:
        return f"none of {len(comparisons)} searches was rescored ({comparisons[0].status})"
    new_top = sum(each.rescored[:1] != each.first_stage[:1] for each in done if each.rescored)
    listed = sum(len(each.rescored) for each in done)
    risen = sum((hit.before or 0) > len(each.rescored) for each in done for hit in each.rescored)
    added = statistics.median(
        sum(each.timings.get(stage, 0.0) for stage in ("queue", "tokenize", "model")) for each in done
    )
    return (
        f"{len(done)} of {len(comparisons)} searches rescored: a new top hit in {new_top}, "
        f"{risen} of {listed} hits shown rose from below Elasticsearch's top; "
        f"rescoring took {added:.0f} ms (median)"
    )
