"""Query parameters of a request target, read and edited as Elasticsearch reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

_SEPARATOR = re.compile("[&;]")


def parameters(target: str) -> dict[str, str]:
    """Return the query parameters as Elasticsearch reads them.

    `+` is a space, `;` separates as `&` does, and the last of a name wins: observed on 9.5.3 and 8.19.
    """
    found: dict[str, str] = {}
    for pair in _pairs(target):
        name, _, value = pair.partition("=")
        found[unquote_plus(name)] = unquote_plus(value)
    return found


def with_parameters(target: str, removed: frozenset[str], added: Mapping[str, str]) -> str:
    """Return the target with parameters removed and others added; the rest stays byte for byte.

    ``added`` values are written as they are: percent-encode them first.
    """
    path = target.partition("?")[0]
    kept = [pair for pair in _pairs(target) if unquote_plus(pair.partition("=")[0]) not in removed]
    kept += [f"{name}={value}" for name, value in added.items()]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _pairs(target: str) -> list[str]:
    return [pair for pair in _SEPARATOR.split(target.partition("?")[2]) if pair]
