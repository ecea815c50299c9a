"""Metrics of several processes are those of one: what is counted adds up, and the worst of what each tells is shown."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sidecar.observing.families import added, families, lasting


def registry(searches: int, seconds: float, state: int, connections: int) -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("searches", "Searches.", ["outcome"], registry=found).labels("reranked").inc(searches)
    Histogram("seconds", "Seconds.", registry=found, buckets=(1, 2)).observe(seconds)
    Gauge("circuit_state", "State.", registry=found).set(state)
    Gauge("connections", "Connections.", registry=found).set(connections)
    return found


def exposed(values: list[object]) -> dict[str, str]:
    class Sum:
        def collect(self) -> list[object]:
            return values

    found = CollectorRegistry()
    found.register(Sum())  # type: ignore[arg-type]
    lines = generate_latest(found).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_two_processes_are_shown_as_one() -> None:
    one, other = (families(each.collect()) for each in (registry(3, 0.5, 2, 4), registry(4, 1.5, 0, 1)))
    shown = exposed([each.metric() for each in added([one, other])])
    assert shown['searches_total{outcome="reranked"}'] == "7.0"
    assert [shown[f'seconds_bucket{{le="{edge}"}}'] for edge in ("1.0", "2.0", "+Inf")] == ["1.0", "2.0", "2.0"]
    assert shown["seconds_sum"] == "2.0"
    assert (shown["circuit_state"], shown["connections"]) == ("2.0", "5.0")


def test_what_a_process_has_counted_outlives_it_and_what_it_held_does_not() -> None:
    past, now = lasting(families(registry(3, 0.5, 2, 4).collect())), families(registry(1, 0.5, 0, 1).collect())
    shown = exposed([each.metric() for each in added([past, now])])
    assert shown['searches_total{outcome="reranked"}'] == "4.0"
    assert (shown["circuit_state"], shown["connections"]) == ("0.0", "1.0")
