"""Reads what Elasticsearch says that it searches (`_validate/query?explain&rewrite=false`): words, field by field."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Final

_PART: Final = re.compile(
    r"""
      (?P<opaque>MatchNoDocsQuery\(".*?(?:"\)(?=[\ )^]|$)) | \*:\*
        | ConstantScore\(FieldExistsQuery\ \[field=\w+\]\)
        | \w+Query\(indexQuery=[^,]*,\ dvQuery=[^)]*\)
        | \w+:[\[{][\w\ *]+\ TO\ [\w\ *]+[\]}])
    | (?P<field>\w+):(?:"(?P<phrase>[^"]*)"|(?P<term>(?=[^\ ()]*\w)[\w.&'+^-]+\*?))(?:~[0-9]+(?![.0-9]))?(?=[\ ()]|$)
    | (?P<sign>-(?=[\w(*]))
    | (?P<open>\() | (?P<close>\))
    | (?P<rest>[\ +|\#]|(?<=\))[\^~][0-9.]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD: Final = re.compile(r"[\u3040-\u9fff]|[^\W_\u3040-\u9fff]+")


def searched(explanation: str) -> Mapping[str, Set[str]]:
    """Return the words that are searched and not excluded, by field.

    Raises:
        ValueError: the explanation is ambiguous: a term that is not analysed holds syntax itself.
    """
    found: dict[str, set[str]] = defaultdict(set)
    excluded, groups, at = False, [False], 0
    while at < len(explanation):
        part = _PART.match(explanation, at)
        if part is None or not groups:
            raise ValueError(f"not understood: {explanation[at : at + 60]!r} of {explanation!r}")
        at = part.end()
        if part["field"] and not (excluded or groups[-1]):
            found[part["field"]].update(folded(part["phrase"] or part["term"] or ""))
        if part["open"]:
            groups.append(groups[-1] or excluded)
        elif part["close"]:
            groups.pop()
        excluded = bool(part["sign"])
    return found


def folded(text: str) -> Set[str]:
    """Return the words of a text as a simple analyzer would."""
    return set(_WORD.findall(text.lower()))
