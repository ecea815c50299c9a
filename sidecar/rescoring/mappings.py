"""Which index mapping applies to the names of a search. Pure.

Names are what Elasticsearch sees: percent-decoded, comma-split. Exact names win over patterns, longer
patterns over shorter ones. An expression with wildcards (or date math) stands for many names: it matches by
itself only where one mapping holds for all of them; otherwise the caller resolves it and asks again.
Source: Elasticsearch reference, "API conventions": multi-target syntax, date math in index names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.config.model import IndexMapping
from sidecar.elasticsearch.wildcard import matches, overlap
from sidecar.reasons import Reason

_EVERY = "*"
_DATA = "::data"
_NONE = Reason.NO_MAPPING
_MIXED = Reason.MIXED_MAPPINGS


@dataclass(frozen=True, slots=True)
class Match:
    """The mapping that applies, and the name or pattern it is configured under.

    ``expression`` is what the search names, where that is known, and ``expand_wildcards`` its parameter.
    """

    pattern: str
    mapping: IndexMapping
    expression: str | None = None
    expand_wildcards: str | None = None


def match(indices: Mapping[str, IndexMapping], names: Sequence[str]) -> Match | Reason:
    """Find the one mapping that holds for all names, index names or parts of an index expression.

    Passes through as `no_mapping` when none holds for any of them, and as `mixed_mappings` when they differ:
    hits scored by different rules do not compare.
    """
    expressions = [_plain(name) for name in names if not name.startswith("-")] or [_EVERY]
    ranked = sorted(indices, key=_specificity)
    found = [_match_one(indices, ranked, expression) for expression in dict.fromkeys(expressions)]
    matched = [each for each in found if isinstance(each, Match)]
    if not matched:
        return _MIXED if _MIXED in found else _NONE
    distinct = {id(each.mapping): each.mapping for each in matched}  # few, however many names there are
    same = len(matched) == len(found) and all(mapping == matched[0].mapping for mapping in distinct.values())
    return matched[0] if same else _MIXED


def _plain(name: str) -> str:
    """Return a name, or the wildcard expression that covers what it may stand for.

    Exclusions (`-name`) are dropped by the caller: what is left without them can only be more.
    """
    name = name.removesuffix(_DATA)  # `logs::data` is `logs`; other selectors stay and match no plain pattern
    if name in ("", "_all"):
        return _EVERY
    return _without_date_math(name[1:-1]) if name.startswith("<") and name.endswith(">") else name


def _without_date_math(name: str) -> str:
    """Return `logs-*` for `logs-{now/d{yyyy.MM.dd|+12:00}}`; a backslash escapes a brace of the name."""
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


def _match_one(indices: Mapping[str, IndexMapping], ranked: Sequence[str], expression: str) -> Match | Reason:
    best = next((pattern for pattern in ranked if covers(pattern, expression)), None)
    if best is None:
        return _NONE
    if _EVERY in expression:
        rivals = (indices[each] for each in ranked[: ranked.index(best)] if overlap(each, expression))
        if any(rival != indices[best] for rival in rivals):
            return _MIXED
    return Match(best, indices[best])


def _specificity(pattern: str) -> tuple[bool, int, str]:
    """Sort exact names first, then longer patterns; then by name, so that the file's order is no matter."""
    return (_EVERY in pattern, -len(pattern), pattern)


def covers(pattern: str, expression: str) -> bool:
    """Return whether a configured pattern matches every name that an expression can stand for.

    As in Elasticsearch, `*` reaches neither hidden names (`.kibana`) nor other clusters (`remote:logs`).
    """
    if expression.startswith(".") and pattern.startswith(_EVERY):
        return False
    if (":" in expression) != (":" in pattern):
        return False
    return matches(pattern, expression)
