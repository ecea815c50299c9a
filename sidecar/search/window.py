"""Which part of the list is rescored, and which page of it the client wants (design, "Window and paging")."""

from __future__ import annotations

from sidecar.reasons import Reason
from sidecar.search.list_limit import ListLimit
from sidecar.search.types import PassThrough, Window


def window(from_: int, size: int, window_size: int, limit: ListLimit | None = None) -> Window | PassThrough:
    """Give the window of a page, or why the page is Elasticsearch's own.

    A page that starts beyond the window holds only the list's own tail. One that straddles its end is
    fetched whole, and the first ``window_size`` hits are permuted. A ``limit`` bounds both.
    """
    if limit is not None:
        window_size = min(window_size, limit.hits)
    if size == 0:
        return PassThrough(Reason.SIZE_0)
    if limit is not None and size > limit.hits:
        return PassThrough(Reason.RANK_WINDOW)
    if from_ >= window_size:
        return PassThrough(Reason.BEYOND_WINDOW)
    if limit is not None and not limit.ends and from_ > 0:
        return PassThrough(Reason.KNN_SIZE)
    return Window(size_rescored=window_size, from_=from_, size=size, limit=None if limit is None else limit.hits)
