"""The verdict in words: whether rescoring helps, how sure that is, and whom it hurts. Pure."""

from __future__ import annotations

from typing import Final

from sidecar.evaluation.evaluate import Evaluation
from sidecar.evaluation.measuring.results import gains

_WORSE: Final = 0.2
_SURE: Final = 0.05


def verdict(evaluation: Evaluation) -> str:
    """Return what the measurement says of the best system."""
    best, measure = evaluation.best, evaluation.measures[0]
    found = best.against[measure]
    low, high = found.difference.low, found.difference.high
    difference = found.difference.mean
    words = f"{best.name}: " + _compared(difference, measure, best.adjusted[measure])
    if low is not None and high is not None:
        words += f"; 95 % of the resampled sets of queries give {low:+.3f} to {high:+.3f}"
    hurt = sum(gain < -_WORSE for _, gain in gains(evaluation.baseline, best, measure))
    count = len(best.values[measure])
    words += f". {hurt} of {count} {'queries' if count != 1 else 'query'} got worse by more than {_WORSE:g}."
    if len(evaluation.systems) > 2:
        words += (
            f" It is the best of {len(evaluation.systems) - 1}, which flatters it: measure it again on other queries."
        )
    return words


def _compared(difference: float, measure: str, p: float) -> str:
    if abs(difference) < 0.0005:
        return f"no difference in {measure}"
    better = "better" if difference > 0 else "worse"
    sure = "sure" if p < _SURE else "not sure: chance alone may do that"
    return f"{better} by {abs(difference):.3f} {measure}, {sure} (p {p:.3f})"
