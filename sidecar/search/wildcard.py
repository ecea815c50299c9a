"""Elasticsearch's simple patterns: `*` stands for any characters, everything else for itself."""

from __future__ import annotations

import re


def matches(pattern: str, name: str) -> bool:
    """Tell whether a name fits a pattern; `*` reaches over dots, as in field patterns and source filters."""
    if "*" not in pattern:
        return pattern == name
    return re.fullmatch(".*".join(map(re.escape, re.split(r"\*+", pattern))), name, re.DOTALL) is not None
