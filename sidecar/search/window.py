"""Which part of the list is rescored, and which page of it the client wants (design, "Window and paging")."""

from __future__ import annotations

from sidecar.reasons import Reason
from sidecar.search.list_limit import ListLimit
from sidecar.search.types import Window

_NONE = ListLimit()


def window(from_: int, size: int, window_size: int, limit: ListLimit = _NONE, *, ends: bool = False) -> Window | Reason:
    """Return the window of a page, or why the page is Elasticsearch's own.

    A page that starts beyond the window holds only the list's own tail, unless the list ``ends`` with its window
    (`ext.rescore.min_score`): then it holds nothing. A ``limit`` bounds the window.
    """
    if size == 0:
        return Reason.SIZE_0
    if limit.hits is not None:
        window_size = min(window_size, limit.hits)
        if size > limit.hits:
            return limit.reason
    if limit.exact:
        window_size = min(window_size, size)
    if from_ >= window_size and not ends:
        return Reason.KNN_SIZE if limit.exact else Reason.BEYOND_WINDOW
    end = limit.hits if limit.ends else None
    return Window(size_rescored=window_size, from_=from_, size=size, end=end, exact=limit.exact)
