"""Prometheus metrics, fed by one record for each search. No metric is touched anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.observing.records import RescoreRecord, SearchStart, ShadowRecord, Tell

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HITS = (1, 10, 15, 20, 25, 30, 40, 50, 75, 100, 200, 500, 1000)
_SHARE = tuple(step / 10 for step in range(11))

Labelled = Callable[[], Mapping[tuple[str, ...], float]]
"""Returns numbers by the values of their labels."""


class Metrics:
    """An observer that counts. Owns its registry, so that two apps in one process don't share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._searches = self._counter(
            "sidecar_searches", "Searches by outcome and reason.", "outcome", "reason", "endpoint", "mapping"
        )
        self._pairs = self._counter("sidecar_pairs", "Pairs scored.", "mapping", "model")
        self._tokens = self._counter("sidecar_tokens", "Tokens scored.", "mapping", "model")
        self._refused = self._counter(
            "sidecar_refused_searches", "Failed searches that were answered with an error.", "reason", "mapping"
        )
        self._missing = self._counter("sidecar_missing_fields", "Mapped fields that hits lacked.", "mapping")
        self._textless = self._counter("sidecar_hits_without_text", "Hits of windows that had no text.", "mapping")
        self._not_found = self._counter("sidecar_texts_not_found", "Texts that a look-up did not give.", "mapping")
        self._scored = self._histogram(
            "sidecar_scored_window", "Hits that were scored of rescored searches.", "mapping", buckets=_HITS
        )
        self._stages = self._histogram("sidecar_stage_seconds", "Time of rescored searches by stage.", "stage")
        self._shadow_tau = self._histogram(
            "sidecar_shadow_kendall_tau", "Rank correlation in shadow mode.", "mapping", buckets=(-1, -0.5, *_SHARE)
        )
        self._shadow_overlap = self._histogram(
            "sidecar_shadow_overlap_at_10", "Shared top-10 hits in shadow mode.", "mapping", buckets=_SHARE
        )
        self._shadow_seconds = self._histogram("sidecar_shadow_seconds", "Time of shadow scoring.", "mapping")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        """Count what is searched, once it is known what became of it."""
        del start
        return nullcontext(self._count_all)

    def _count_all(self, record: RescoreRecord) -> None:
        for search in record.searches:
            self._count(search)

    def _count(self, record: RescoreRecord) -> None:
        mapping, model = record.mapping or "", record.model or ""
        self._searches.labels(record.outcome, record.reason or "", record.endpoint, mapping).inc()
        if record.refused:
            self._refused.labels(record.reason or "", mapping).inc()
        self._textless.labels(mapping).inc(record.hits_without_text)
        self._not_found.labels(mapping).inc(record.texts_not_found)
        if record.outcome == "reranked":
            self._pairs.labels(mapping, model).inc(record.pairs)
            self._tokens.labels(mapping, model).inc(record.tokens)
            self._missing.labels(mapping).inc(record.missing_fields)
            self._scored.labels(mapping).observe(record.scored)
            self._observe_stages(record)

    def _observe_stages(self, record: RescoreRecord) -> None:
        stages = {
            "elasticsearch": record.elasticsearch,
            "queue": record.queue,
            "tokenize": record.tokenize,
            "model": record.model_time,
            "total": record.total,
        }
        for stage, seconds in stages.items():
            self._stages.labels(stage).observe(seconds)

    def shadow(self, record: ShadowRecord) -> None:
        """Count one shadow comparison."""
        self._shadow_tau.labels(record.mapping).observe(record.kendall_tau)
        self._shadow_overlap.labels(record.mapping).observe(record.overlap_at_10)
        self._shadow_seconds.labels(record.mapping).observe(record.seconds)

    def add_source(self, prefix: str, source: Callable[[], Mapping[str, float]]) -> None:
        """Export what ``source`` gives at each scrape; names ending in ``_total`` are counters."""
        self.registry.register(_Source(prefix, source))

    def add_labelled(self, name: str, text: str, labels: Sequence[str], source: Labelled) -> None:
        """Export what ``source`` gives at each scrape, by the values of its labels."""
        self.registry.register(_LabelledSource(name, text, labels, source))

    def render(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class _LabelledSource(Collector):
    def __init__(self, name: str, text: str, labels: Sequence[str], source: Labelled) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._source = source

    def collect(self) -> Iterable[Metric]:
        kind = CounterMetricFamily if self._name.endswith("_total") else GaugeMetricFamily
        metric = kind(self._name, self._text, labels=self._labels)
        for values, number in self._source().items():
            metric.add_metric(values, number)
        yield metric


class _Source(Collector):
    def __init__(self, prefix: str, source: Callable[[], Mapping[str, float]]) -> None:
        self._prefix = prefix
        self._source = source

    def collect(self) -> Iterable[Metric]:
        for name, value in self._source().items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(f"{self._prefix}_{name}", name.replace("_", " "), value=value)

    def describe(self) -> Iterable[Metric]:
        """Describe nothing ahead: the source may not be ready when it is registered."""
        return []
