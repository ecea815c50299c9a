"""What must hold of every answer while a fault is on: no hit wrong, lost or repeated, in time, and one story told."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hardening.faults.asking import Answer, order, without_took
from hardening.faults.node import Seen

_SLACK = 0.1  # seconds
_SAMPLE = re.compile(r'sidecar_searches_total\{endpoint="[^"]*",mapping="[^"]*",outcome="(\w+)",reason="(\w*)"\}')
_COUNTS = re.compile(r"(reranked|passed|failed)=(\d+)")


@dataclass
class Verdict:
    """What was seen of a fault. ``broken`` are laws that were broken, ``late`` answers that came too late."""

    told: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    slack: float = float("-inf")
    said: str = ""

    def add(self, other: Verdict) -> None:
        """Take over what another part of the same fault showed."""
        self.told += other.told
        self.broken += other.broken
        self.late += other.late
        self.slack = max(self.slack, other.slack)


@dataclass(frozen=True)
class Truth:
    """What the same request is answered without faults: by Elasticsearch alone, and rescored."""

    direct: Mapping[str, bytes]
    rescored: Mapping[str, bytes]


def of_answer(answer: Answer, truth: Truth, seen: Sequence[Seen], refused: Collection[int], *, cut: bool) -> str:
    """Return what is wrong with an answer, an empty text where nothing is.

    Args:
        answer: what the client got.
        truth: what is right.
        seen: what the nodes were asked and said for it.
        refused: statuses with which the sidecar may answer of its own accord.
        cut: whether the node broke its own answer off.
    """
    if answer.status and any(answer.status in each.statuses for each in seen) and answer.status >= 300:
        return ""
    if not answer.whole:
        return "" if cut else f"no whole answer (status {answer.status})"
    if answer.status in refused:
        return "" if b'"error"' in answer.body else "a refusal in a shape that is not Elasticsearch's"
    if answer.status >= 300:
        return f"a {answer.status} that Elasticsearch did not send: {answer.body[:200]!r}"
    return _of_body(answer, truth, seen)


def _of_body(answer: Answer, truth: Truth, seen: Sequence[Seen]) -> str:
    name = answer.probe.name
    if name == "bulk":
        done = json.loads(answer.body).get("errors") is False or any(each.said(answer.body) for each in seen)
        return "" if done else "a write that failed"
    if answer.told == "reranked":
        same = order(answer.body) == order(truth.rescored.get(name, answer.body))
        return "" if same else "rescored hits that are not those of a sound sidecar"
    if answer.probe.scored and not answer.told:
        return "no X-Rescore"
    own = _items(answer.body, without_took(truth.direct[name]), *(body for each in seen for body in each.bodies()))
    return "" if own else "not Elasticsearch's own answer"


def _items(body: bytes, *sources: bytes) -> bool:
    """Return whether an answer, or each one of an `_msearch`, stands in one of these as it is."""
    if without_took(body) in map(without_took, sources):
        return True
    try:
        items = json.loads(body)["responses"]
        known = [item for source in sources for item in _responses(source)]
    except (ValueError, KeyError, TypeError):
        return False
    return all({**item, "took": 0} in known for item in items)


def _responses(source: bytes) -> list[dict[str, Any]]:
    try:
        return [{**item, "took": 0} for item in json.loads(source)["responses"]]
    except (ValueError, KeyError, TypeError):
        return []


def of_time(answer: Answer, deadline: float, node: float) -> float:
    """Return by how many seconds an answer came too late; what is below 0 was in time."""
    return answer.seconds - node - (deadline if answer.probe.scored else 0.0) - _SLACK


def of_story(answers: Sequence[Answer], lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return where header and log disagree."""
    found = []
    for answer in answers:
        logged = [line for line in lines if line.get("opaque_id") == answer.who and line["logger"] == "sidecar.search"]
        told = Counter(
            f"{line['outcome']}: {line['reason']}" if "reason" in line else line["outcome"] for line in logged
        )
        if answer.told and not _agrees(answer, told):
            found.append(f"{answer.probe.name}: the header says {answer.headers['x-rescore']!r}, the log {dict(told)}")
    return found


def _agrees(answer: Answer, told: Counter[str]) -> bool:
    counted = _COUNTS.findall(answer.headers["x-rescore"])
    if not counted:
        return dict(told) == {answer.told: 1}
    by_outcome = Counter[str]()
    for story, times in told.items():
        by_outcome[story.partition(":")[0]] += times
    return all(by_outcome[outcome] == int(times) for outcome, times in counted)


def of_metrics(
    before: Mapping[str, float], after: Mapping[str, float], lines: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return where metrics and log disagree about what became of the searches between two scrapes."""
    counted = Counter[tuple[str, str]]()
    for name, value in after.items():
        found = _SAMPLE.fullmatch(name)
        if found:
            counted[found[1], found[2]] += int(value - before.get(name, 0.0))
    logged = Counter((line["outcome"], line.get("reason", "")) for line in lines if line["logger"] == "sidecar.search")
    counted = +counted
    return [] if counted == logged else [f"metrics count {dict(counted)}, the log {dict(logged)}"]
