"""Bounds what torch keeps of a CPU's memory, whoever starts it; batches come in ever other shapes.

oneDNN compiles a primitive for each shape, and it and torch's layer above it each keep 1024 of them by default.
glibc keeps freed buffers to use them again, which it seldom can. What the user sets of either stays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, MutableMapping

_PRIMITIVES = "64"
_CAPACITIES = (
    ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"),  # the second is its name of old
    ("LRU_CACHE_CAPACITY",),
)
_BATCHES = 16


def bound_primitives(environ: MutableMapping[str, str]) -> None:
    """Make oneDNN keep few primitives, where the user does not say how many.

    It reads ``environ`` when it first computes, so this comes before torch runs anything.
    """
    for name, *older in _CAPACITIES:
        if not any(given in environ for given in (name, *older)):
            environ[name] = _PRIMITIVES


class Trimming:
    """Returns freed buffers to the system after every so many batches; does nothing where the C library cannot."""

    def __init__(self, trim: Callable[[], object] | None = None) -> None:
        self._trim = trim or _trim()
        self._batches = 0

    def after_batch(self) -> None:
        """Count a batch, and return what was freed when it is time."""
        self._batches += 1
        if self._batches % _BATCHES == 0:
            self._trim()

    def now(self) -> None:
        """Return what was freed."""
        self._trim()


def _trim() -> Callable[[], object]:
    """Return glibc's `malloc_trim`, or what does nothing: musl and macOS have none."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return lambda: None
    return lambda: trim(0)
