"""Metrics of several processes, added up to those of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import Metric

_LARGEST = ("_dead_urls", "_state", "_silence_seconds", "_silent_seconds")
"""Ends of the names of gauges of which the largest counts: each process tells the same, or its own worst."""
_KEPT = ("counter", "histogram")
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric of one name. ``samples`` are by their own name and labels, in order."""

    name: str
    kind: str
    text: str
    samples: Mapping[tuple[str, Labels], float]

    def metric(self) -> Metric:
        """Return it as the exposition takes it."""
        found = Metric(self.name, self.text, self.kind)
        for (name, labels), value in self.samples.items():
            found.add_sample(name, dict(labels), value)
        return found


def families(metrics: Iterable[Metric]) -> list[Family]:
    """Return a registry's metrics as values that travel."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            {(sample.name, tuple(sample.labels.items())): sample.value for sample in metric.samples},
        )
        for metric in metrics
    ]


def lasting(found: Iterable[Family]) -> list[Family]:
    """Return what stays of a process that ended: what it has counted."""
    return [family for family in found if family.kind in _KEPT]


def added(several: Iterable[Iterable[Family]]) -> list[Family]:
    """Add up the metrics of several processes."""
    sums: dict[str, Family] = {}
    for family in (family for each in several for family in each):
        before = sums.get(family.name)
        sums[family.name] = family if before is None else _sum(before, family)
    return list(sums.values())


def _sum(left: Family, right: Family) -> Family:
    samples = dict(left.samples)
    for key, value in right.samples.items():
        samples[key] = value if key not in samples else _one(key[0], samples[key], value)
    return Family(left.name, left.kind, left.text, samples)


def _one(name: str, left: float, right: float) -> float:
    if name.endswith("_created"):  # the time since when is counted
        return min(left, right)
    return max(left, right) if name.endswith(_LARGEST) else left + right
