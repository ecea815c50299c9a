"""Which index mapping holds for the names of a search. Pure.

Names are what Elasticsearch sees: percent-decoded, comma-split. Exact names win over patterns, longer
patterns over shorter ones. An expression with wildcards (or date math) stands for many names: it matches by
itself only where one mapping holds for all of them; otherwise the caller resolves it and asks again.
Source: Elasticsearch reference, "API conventions": multi-target syntax, date math in index names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.config.model import IndexMapping
from sidecar.reasons import Reason
from sidecar.search.types import PassThrough

_EVERY = "*"
_DATA = "::data"
_NONE = PassThrough(Reason.NO_MAPPING)
_MIXED = PassThrough(Reason.MIXED_MAPPINGS)


@dataclass(frozen=True, slots=True)
class Match:
    """The mapping that holds, and the name or pattern it is configured under."""

    pattern: str
    mapping: IndexMapping


def match(indices: Mapping[str, IndexMapping], names: Sequence[str]) -> Match | PassThrough:
    """Find the one mapping that holds for all names, index names or parts of an index expression.

    Passes through as `no_mapping` when none holds for any of them, and as `mixed_mappings` when they differ:
    hits scored by different rules do not compare.
    """
    expressions = [_plain(name) for name in names if not name.startswith("-")] or [_EVERY]
    found = [_match_one(indices, expression) for expression in expressions]
    matches = [each for each in found if isinstance(each, Match)]
    if not matches:
        return _MIXED if _MIXED in found else _NONE
    same = all(isinstance(each, Match) and each.mapping == matches[0].mapping for each in found)
    return matches[0] if same else _MIXED


def _plain(name: str) -> str:
    """Give a name, or the wildcard expression that covers what it may stand for.

    Exclusions (`-name`) are dropped by the caller: what is left without them can only be more.
    """
    name = name.removesuffix(_DATA)  # `logs::data` is `logs`; other selectors stay and match no plain pattern
    if name in ("", "_all"):
        return _EVERY
    return _without_date_math(name[1:-1]) if name.startswith("<") and name.endswith(">") else name


def _without_date_math(name: str) -> str:
    """Give `logs-*` for `logs-{now/d{yyyy.MM.dd|+12:00}}`; a backslash escapes a brace of the name."""
    out, depth, chars = [], 0, iter(name)
    for char in chars:
        if char == "\\":
            out.append(next(chars, "")[: depth == 0])
        elif char in "{}":
            out.append(_EVERY if char == "{" and depth == 0 else "")
            depth += 1 if char == "{" else -1
        elif depth == 0:
            out.append(char)
    return "".join(out)


def _match_one(indices: Mapping[str, IndexMapping], expression: str) -> Match | PassThrough:
    ranked = sorted(indices, key=_specificity)
    best = next((pattern for pattern in ranked if covers(pattern, expression)), None)
    if best is None:
        return _NONE
    if _EVERY in expression:
        rivals = (indices[each] for each in ranked[: ranked.index(best)] if overlaps(each, expression))
        if any(rival != indices[best] for rival in rivals):
            return _MIXED
    return Match(best, indices[best])


def _specificity(pattern: str) -> tuple[bool, int, str]:
    """Sort exact names first, then longer patterns; then by name, so that the file's order is no matter."""
    return (_EVERY in pattern, -len(pattern), pattern)


def covers(pattern: str, expression: str) -> bool:
    """Say whether a configured pattern matches every name that an expression can stand for.

    As in Elasticsearch, `*` reaches neither hidden names (`.kibana`) nor other clusters (`remote:logs`).
    """
    if expression.startswith(".") and pattern.startswith(_EVERY):
        return False
    if (":" in expression) != (":" in pattern):
        return False
    glob = ".*".join(map(re.escape, re.split(r"\*+", pattern)))
    return re.fullmatch(glob, expression, re.DOTALL) is not None


def overlaps(left: str, right: str) -> bool:
    """Say whether some name matches both patterns."""
    reach = {(0, 0)}  # positions in both that one common prefix can lead to
    seen: set[tuple[int, int]] = set()
    while reach:
        at = reach.pop()
        if at == (len(left), len(right)):
            return True
        if at not in seen:
            seen.add(at)
            reach.update(_steps(left, right, *at))
    return False


def _steps(left: str, right: str, i: int, j: int) -> list[tuple[int, int]]:
    a, b = left[i : i + 1], right[j : j + 1]
    steps = []
    if a == _EVERY:
        steps += [(i + 1, j)] + ([(i, j + 1)] if b else [])
    if b == _EVERY:
        steps += [(i, j + 1)] + ([(i + 1, j)] if a else [])
    if a == b != "":
        steps.append((i + 1, j + 1))
    return steps
