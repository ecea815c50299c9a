"""The natural-language text of a search: what the user typed, once.

First that yields text: `ext.rescore.query` (handled by the planner), the mapping's JSON paths, the query tree,
`?q=`. A text all of whose words are in others is left out: the same words are searched in several fields, as words and
as a phrase, escaped and not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sidecar.rescoring.query_text import query_string, tree
from sidecar.rescoring.query_text.text_fields import TextFields

# `c`, `c++` and `c#` are different words; an emoji is one.
_WORD: Final = re.compile(r"[^\W_]+[+#]*|[\u2600-\u27bf\U0001f000-\U0001faff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def query_text(body: Any, parameters: Mapping[str, str], paths: Iterable[str], fields: TextFields) -> str | None:
    """Return the text of a search; None when there is none.

    Args:
        body: the decoded JSON body, or None.
        parameters: the decoded query parameters.
        paths: JSON paths of the text in the body.
        fields: tells which clauses count.
    """
    sources: tuple[Iterable[str], ...] = (
        (text for path in paths for text in at_path(body, path)),
        tree.texts(_without_query(body) if "q" in parameters else body, fields),
        _from_parameters(parameters, fields),
    )
    return next((joined for joined in map(_join, sources) if joined), None)


def _without_query(body: Any) -> Any:
    """Leave out the body's `query`: Elasticsearch puts `?q=` in its place (observed on 9.5.3)."""
    return {name: value for name, value in body.items() if name != "query"} if isinstance(body, dict) else body


def _from_parameters(parameters: Mapping[str, str], fields: TextFields) -> Iterator[str]:
    default = [parameters["df"]] if "df" in parameters else []
    yield from tree.in_query_string(parameters.get("q", ""), default, fields, one=True)


def _join(texts: Iterable[str]) -> str:
    joined = " ".join(_once(map(_tidy, texts)))
    if _SURROGATE.search(joined):  # escapes can name halves of a character
        joined = joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined


def _tidy(text: str) -> str:
    """Return a text with single spaces, without escaped words that are there in plain, too."""
    words = text.split()
    if "\\" in text:
        plain = set(words)
        words = [word for word in words if "\\" not in word or query_string.unescaped(word) not in plain]
    return " ".join(words)


def _once(texts: Iterable[str]) -> list[str]:
    """Return the texts, in order, that have a word which no longer one has; without words there is nothing to read."""
    words = {text: set(_WORD.findall(text.casefold())) for text in texts}
    seen: set[str] = set()
    kept = set()
    for text in sorted(words, key=lambda text: (-len(words[text]), "\\" in text)):
        if not words[text] <= seen:
            kept.add(text)
            seen |= words[text]
    return [text for text in words if text in kept]


def at_path(value: Any, path: str) -> Iterator[str]:
    """Yield the strings at a JSON path: dots, `[0]`, `[*]` or `*`, with or without `$.` before."""
    values = [value]
    for step in re.findall(r"[^.\[\]]+", path.removeprefix("$")):
        values = [inner for outer in values for inner in _step(outer, step)]
    for found in values:
        yield from tree.strings(found)


def _step(value: Any, step: str) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step == "*" else [value[step]] if step in value else []
    if not isinstance(value, list):
        return []
    if re.fullmatch("[0-9]{1,9}", step):
        return value[int(step) : int(step) + 1]
    return value if step == "*" else [inner for item in value if isinstance(item, dict) for inner in _step(item, step)]
