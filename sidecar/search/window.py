"""Which part of the list is rescored, and which page of it the client wants (design, "Window and paging")."""

from __future__ import annotations

from sidecar.search.reasons import BEYOND_WINDOW, SIZE_0
from sidecar.search.types import PassThrough, Window


def window(from_: int, size: int, window_size: int) -> Window | PassThrough:
    """Give the window of a page, or why the page is Elasticsearch's own.

    A page that starts beyond the window holds only the list's own tail. One that straddles its end is
    fetched whole, and the first ``window_size`` hits are permuted.
    """
    if size == 0:
        return PassThrough(SIZE_0)
    if from_ >= window_size:
        return PassThrough(BEYOND_WINDOW)
    return Window(size_rescored=window_size, from_=from_, size=size)
