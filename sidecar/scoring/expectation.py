"""What searches can expect of a model of a measured speed, in one line."""

from __future__ import annotations

HIT_TOKENS = 67
"""Tokens of a query and a passage in the mean: MS MARCO's, which the models here were trained on."""
_SEARCHES = 4


def expectation(model: str, tokens_per_second: float, window: int, timeout: float) -> str:
    """Say how long ``window`` hits take, and how many of them are scored in time where searches come four at a time."""
    seconds = window * HIT_TOKENS / tokens_per_second
    each = min(window, int(tokens_per_second * timeout / HIT_TOKENS / _SEARCHES))
    alone = f"{model}: {window} hits take about {_rounded(seconds)} s here"
    return (
        f"{alone}; {_SEARCHES} searches at a time get about {_rounded(each)} hits each within {timeout * 1000:.0f} ms"
    )


def _rounded(value: float) -> str:
    """Return a number with as many digits as an estimate has: two at most, one behind the first zeros."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1g}" if value < 1 else f"{value:.2g}"
