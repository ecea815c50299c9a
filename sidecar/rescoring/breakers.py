"""The circuit breakers, one a model. A probe that ends untold (its client went away) gives its place to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from sidecar.rescoring.circuit_breaker import CircuitBreaker

Model = str | None
"""A name of `engine.models`, None for the default model."""


class Breakers:
    """Long-lived; told of each attempt to score and of its end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._breakers: defaultdict[Model, CircuitBreaker] = defaultdict(CircuitBreaker)

    def allow(self, model: Model) -> bool:
        """Return whether the model may be asked now."""
        return self._breakers[model].allows(self._clock())

    @contextmanager
    def attempt(self, models: Collection[Model]) -> Iterator[None]:
        """Ask these models within the block; a probe that neither succeeded nor failed in it is abandoned."""
        probes = {model for model in models if self._breakers[model].opened_at is not None}
        for model in probes:
            self._breakers[model] = self._breakers[model].probed()
        try:
            yield
        finally:
            for model in probes:
                self._breakers[model] = self._breakers[model].abandoned()

    def succeeded(self, model: Model) -> None:
        """Note that a model gave scores."""
        self._breakers[model] = self._breakers[model].succeeded()

    def failed(self, model: Model) -> None:
        """Note that a model gave none, or gave them late."""
        self._breakers[model] = self._breakers[model].failed(self._clock())
