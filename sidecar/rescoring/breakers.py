"""The circuit breakers, one for each mapping and model. A probe that ends untold gives its place to the next search."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from sidecar.rescoring.circuit_breaker import CircuitBreaker

Circuit = tuple[str, str | None]
"""The mapping's pattern, and the model: a name of `engine.models`, None for the default one."""
_log = logging.getLogger("sidecar.rescorer")


class Breakers:
    """Long-lived; told on the event loop of each attempt to score and of its end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._breakers: defaultdict[Circuit, CircuitBreaker] = defaultdict(CircuitBreaker)
        self._changes: Counter[tuple[str, ...]] = Counter()

    def allow(self, circuit: Circuit) -> bool:
        """Return whether the model may be asked now."""
        return self._breakers[circuit].allows(self._clock())

    @contextmanager
    def attempt(self, circuits: Collection[Circuit]) -> Iterator[None]:
        """Ask these models within the block; a probe that neither succeeded nor failed in it is abandoned."""
        probes = [circuit for circuit in circuits if self._breakers[circuit].opened_at is not None]
        for circuit in probes:
            self._becomes(circuit, self._breakers[circuit].probed())
        try:
            yield
        finally:
            for circuit in probes:
                self._becomes(circuit, self._breakers[circuit].abandoned())

    def succeeded(self, circuit: Circuit) -> None:
        """Note that a model gave scores."""
        self._becomes(circuit, self._breakers[circuit].succeeded())

    def failed(self, circuit: Circuit) -> None:
        """Note that a model gave none."""
        self._becomes(circuit, self._breakers[circuit].failed(self._clock()))

    def _becomes(self, circuit: Circuit, breaker: CircuitBreaker) -> None:
        before, self._breakers[circuit] = self._breakers[circuit], breaker
        if before.state == breaker.state:
            return
        self._changes[*_labels(circuit), breaker.state.name.lower()] += 1
        tell = _log.warning if breaker.opened_at is not None else _log.info
        mapping, model = _labels(circuit)
        fields = {"mapping": mapping, "model": model, "state": breaker.state.name.lower(), "failures": breaker.failures}
        tell("a circuit breaker is now %s", fields["state"], extra={"fields": fields})

    def states(self) -> Mapping[tuple[str, ...], float]:
        """Return each circuit's state by mapping and model: 0 closed, 1 half-open, 2 open."""
        return {_labels(circuit): float(breaker.state) for circuit, breaker in list(self._breakers.items())}

    def changes(self) -> Mapping[tuple[str, ...], float]:
        """Return how often each circuit changed into a state, by mapping, model and state."""
        return dict(self._changes)


def _labels(circuit: Circuit) -> tuple[str, str]:
    mapping, model = circuit
    return mapping, model or "default"
