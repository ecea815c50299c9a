"""A bounded memory of ids that Elasticsearch hands out: point-in-time ids, async search ids."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Keeps the most recently used values by id. A forgotten id only costs a look-up or a reason.

    At most ``limit`` of them, and of at most ``max_bytes`` by what ``size`` says.
    """

    def __init__(
        self, limit: int = 10_000, *, size: Callable[[Value], int] = lambda value: 0, max_bytes: int = 64 << 20
    ) -> None:
        self._limit = limit
        self._size = size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[str, Value] = OrderedDict()

    def put(self, name: str, value: Value) -> None:
        """Remember ``value``, forgetting the least recently used ones when full."""
        if name in self._values:
            self._bytes -= self._size(self._values.pop(name))
        self._values[name] = value
        self._bytes += self._size(value)
        while len(self._values) > self._limit or self._bytes > self._max_bytes:
            self._bytes -= self._size(self._values.popitem(last=False)[1])

    def get(self, name: str) -> Value | None:
        """Give the value, or None when it is not known (any more)."""
        if name in self._values:
            self._values.move_to_end(name)
        return self._values.get(name)
