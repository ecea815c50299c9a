"""A bounded memory of ids that Elasticsearch hands out: point-in-time ids, async search ids."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Keeps the ``limit`` most recently used values by id. A forgotten id only costs a look-up or a reason."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._values: OrderedDict[str, Value] = OrderedDict()

    def put(self, name: str, value: Value) -> None:
        """Remember ``value``, forgetting the least recently used one when full."""
        self._values[name] = value
        self._values.move_to_end(name)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def get(self, name: str) -> Value | None:
        """Give the value, or None when it is not known (any more)."""
        if name in self._values:
            self._values.move_to_end(name)
        return self._values.get(name)
