"""The one cache: bounded in bytes, least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
_OVERHEAD = 200  # key digest, dict entry and the value's header, about


class ByteCache(Generic[Value]):
    """Maps keys to values with a size each. Thread-safe.

    ``told`` is called with each value that is put, for others to ``take`` it, too.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0
        self.hits = 0
        self.misses = 0
        self.told: Callable[[Hashable, Value, int], None] | None = None

    def get(self, key: Hashable) -> Value | None:
        """Return a value and note its use, or None."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of ``size`` bytes, dropping the least recently used ones to make room."""
        self.take(key, value, size)
        if self.told is not None:
            self.told(key, value, size)

    def take(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value like ``put``, and tell nobody."""
        size += _OVERHEAD
        if size > self.limit:
            return
        with self._lock:
            if key in self._values:
                self.size -= self._values.pop(key)[1]
            self._values[key] = (value, size)
            self.size += size
            while self.size > self.limit:
                self.size -= self._values.popitem(last=False)[1][1]
