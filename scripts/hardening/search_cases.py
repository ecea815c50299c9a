"""Generated cases: a search, how it is walked through page by page, and the mappings it meets. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import quote

from hardening.search_queries import (
    CONTENT,
    CONTENT_PARAMETERS,
    PARAMETERS,
    PRESENTATION,
    query,
    retriever,
    size_matters,
)

_USUAL = (
    "fz-a",
    "fz-a",
    "fz-b",
    "fz-a,fz-b",
    "fz-routed",
    "fz-nosource",
    "fz-*,-fz-small,-fz-tiny,-fz-nosource",
    "fz-b,fz-small",
)
_UNUSUAL = (
    *("fz-*", "fz-logs-*", "fz-small", "fz-tiny,fz-b", "fz-tiny", "al-both", "al-filtered", "al-mixed", "al-small"),
    *("al-*", "fz-hidden", ".fz-dot", "fz-h*", "fz-empty", "fz-empty,fz-b", "other-fz", "fz-a,other-fz", "*-fz"),
    *("fz-*,-fz-tiny", "fz-missing", "fz-missing,fz-a", "_all", "*", "fz-b::data", "<fz-logs-{now/d{yyyy}}*>"),
    *("<fz-b>", ".fz*", "fz-b,.fz*", "FZ-B", "fz%2Db"),
)
_EXPANSIONS = ("all", "open", "hidden", "open,hidden", "none", "closed", "open,closed")


@dataclass(frozen=True)
class Case:
    """A search and its walks. ``expression`` None is a path without an index; ``pit`` says where it was opened.

    ``walks`` are (start, size, pages) of clients that ask at the same time; a ``twin`` asks for the same hits and
    shows them otherwise.
    """

    kind: str
    expression: str | None
    params: dict[str, str]
    body: dict[str, Any]
    walks: tuple[tuple[int, int, int], ...]
    method: str = "POST"
    spelling: str = ""
    pages_in_url: bool = False
    ours: dict[str, Any] | None = None
    in_headers: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    pit: str = ""
    twin: dict[str, Any] | None = None

    @property
    def size_matters(self) -> bool:
        """Whether hits depend on how many are asked for."""
        return size_matters(
            {name: value for name, value in self.body.items() if name in ("query", "retriever", *CONTENT)}
        )

    def path(self) -> str:
        """Return the path of the request line."""
        return "/_search" if self.pit or self.expression is None else f"/{_quoted(self.expression)}/_search"

    def target(self, start: int | None, size: int | None) -> str:
        """Return path and query string for a page; None leaves Elasticsearch's defaults."""
        page = {"from": start, "size": size} if self.pages_in_url else {}
        pairs = self.params | {name: str(value) for name, value in page.items() if value is not None}
        written = [f"{name}={value}" if value else name for name, value in pairs.items()]
        return self.path() + ("?" + "&".join(written) if written else "")

    def sent_headers(self, *, ours: bool) -> dict[str, str]:
        """Return the headers of a request; our overrides may be among them."""
        headers = self.headers | ({"Content-Encoding": "gzip"} if self.spelling == "gzip" else {})
        if not (ours and self.in_headers and self.ours):
            return headers
        return headers | {f"X-Rescore-{name.replace('_', '-')}": _spelled(v) for name, v in self.ours.items()}

    def spelled(self, content: dict[str, Any]) -> bytes:
        """Return a body as it is sent, before it is compressed; nothing where it is empty."""
        raw = json.dumps(content, indent=1 if self.spelling == "indented" else None)
        if self.spelling == "unescaped" and "\\ud" not in raw:  # a lone surrogate has no UTF-8
            raw = json.dumps(content, ensure_ascii=False)
        return raw.encode() if content else b""

    def content(self, start: int | None, size: int | None, *, ours: bool, pit: str = "") -> dict[str, Any]:
        """Return the body for a page, with our `ext.rescore` or as Elasticsearch may see it."""
        page = {} if self.pages_in_url else {"from": start, "size": size}
        body = self.body | {name: value for name, value in page.items() if value is not None}
        if pit:
            body["pit"] = {"id": pit, "keep_alive": "5m"}
        return body | (
            {"ext": {"rescore": self.ours}} if ours and self.ours is not None and not self.in_headers else {}
        )


def _spelled(value: Any) -> str:
    return quote(value) if isinstance(value, str) else json.dumps(value)


def _quoted(expression: str) -> str:
    return quote(expression, safe="*,-.%_:")


def case(random: Random) -> Case:
    """Return a case."""
    body: dict[str, Any] = {"query": query(random)}
    params: dict[str, str] = {}
    for name in _some(random, CONTENT, (60, 30, 10)):
        body[name] = CONTENT[name](random)
    for name in _some(random, PRESENTATION, (40, 30, 20, 10)):
        body[name] = PRESENTATION[name](random)
    for name in _some(random, PARAMETERS, (60, 30, 10)):
        params[name] = random.choice(PARAMETERS[name])
    for name in _some(random, CONTENT_PARAMETERS, (90, 10)):
        params[name] = random.choice(CONTENT_PARAMETERS[name])
    expression = None if random.random() < 0.02 else random.choice(random.choice((_USUAL, _UNUSUAL)))
    made = Case(
        kind=random.choices(("search", "pit", "msearch"), weights=(76, 10, 14))[0],
        expression=expression,
        params=params | _expansion(expression or "*", random),
        body=body,
        walks=tuple(_walks(random)),
        method=random.choice(("POST", "GET")),
        spelling=random.choice(("", "", "", "indented", "unescaped", "gzip")),
        pages_in_url=random.random() < 0.25,
        ours=_ours(random),
        in_headers=random.random() < 0.15,
        headers={"X-Opaque-Id": f"user-{random.randrange(9)}"} if random.random() < 0.5 else {},
        twin=_twin(random),
    )
    return _fitting(made, random)


def _fitting(made: Case, random: Random) -> Case:
    """Take out what a kind of search does not allow."""
    if made.kind == "pit":
        refused = ("routing", "preference", "ignore_unavailable", "expand_wildcards", "allow_no_indices")
        params = {name: value for name, value in made.params.items() if name not in refused}
        body = {name: value for name, value in made.body.items() if name not in ("sort", "indices_boost")}
        return replace(made, params=params, body=body, pit=random.choice(("node", "sidecar")), twin=None)
    if made.kind == "msearch":
        return replace(made, params={}, pages_in_url=False, twin=None, in_headers=False, spelling="")
    if random.random() < 0.04:
        body = {name: value for name, value in made.body.items() if name not in ("query", *CONTENT)}
        return replace(made, body=body | {"retriever": retriever(random)}, twin=None)
    if random.random() < 0.05:
        params = made.params | {"q": random.choice(CONTENT_PARAMETERS["q"])}
        return replace(made, params=params, body={}, pages_in_url=True, in_headers=True, twin=None)
    return made


def _some(random: Random, options: dict[str, Any], weights: tuple[int, ...]) -> list[str]:
    [count] = random.choices(range(len(weights)), weights)
    return random.sample(list(options), count)


def _expansion(expression: str, random: Random) -> dict[str, str]:
    found = {}
    if random.random() < (0.4 if "*" in expression else 0.05):
        found["expand_wildcards"] = random.choice(_EXPANSIONS)
    if random.random() < 0.15:
        found["ignore_unavailable"] = random.choice(("true", "true", "true", ""))
    if random.random() < 0.05:
        found["allow_no_indices"] = "false"
    return found


def _walks(random: Random) -> Iterator[tuple[int, int, int]]:
    kind = random.random()
    if kind < 0.35:  # one page somewhere
        yield random.choice((0, 0, 0, 1, 7, 20, 49, 95)), random.choice((0, 1, 5, 10, 10, 50, 120)), 1
    elif kind < 0.45:  # pages as they are when a client says nothing
        yield -1, -1, 1
    else:  # the whole list, by several clients at once
        for _ in range(random.choice((1, 2, 2, 5))):
            size = random.choice((5, 7, 10, 16, 25, 40, 64))
            yield 0, size, 160 // size + 1


def _ours(random: Random) -> dict[str, Any] | None:
    if random.random() < 0.6:
        return None
    choices: tuple[dict[str, Any], ...] = (
        {},
        {"enabled": True},
        {"enabled": False},
        {"window_size": random.choice((1, 2, 5, 13, 30, 100, 400))},
        {"fusion": random.choice(("rrf", "linear", "replace", _PLAIN))},
        {"fusion": {"method": "linear", "weight": 0.5, "normalize": "z_score"}},
        {"explain": True},
        {"query": "green apple"},
        {"min_score": random.choice((0.0, 0.3, 0.5, 0.7))},
        {"timeout_ms": 60_000},
    )
    return random.choice(choices) | (random.choice(choices) if random.random() < 0.3 else {})


def _twin(random: Random) -> dict[str, Any] | None:
    names = ("_source", "seq_no_primary_term", "version", "docvalue_fields", "highlight")
    if random.random() < 0.7:
        return None
    return {name: PRESENTATION[name](random) for name in random.sample(names, random.randint(1, 2))}


def mappings(random: Random) -> dict[str, Any]:
    """Return `indices` of a configuration: the same indices under ever other mappings."""
    first, second = mapping(random), mapping(random)
    found: tuple[dict[str, Any], ...] = (
        {"fz-*": first},
        {"fz-*": first},
        {"fz-*": first, ".fz-*": first},
        {"fz-*": first, "fz-hidden": second},
        {"fz-*": first, "fz-small": second, "fz-tiny": second},
        {"fz-a": first, "fz-b": first, "fz-routed": second, "fz-nosource": second},
        {"*": first},
        {"al-both": second, "fz-*": first},
        {"*-fz": first, "fz-b": second},
    )
    return {} if random.random() < 0.03 else random.choice(found)


_PLAIN = {"method": "replace", "keep_sure": False}


def mapping(random: Random) -> dict[str, Any]:
    """Return one mapping."""
    found: dict[str, Any] = {
        "fields": random.choice((["title"], ["title", "body"], ["body", "tags"], [{"name": "title", "label": "T: "}])),
        "window_size": random.choice((1, 2, 3, 7, 10, 20, 33, 50, 51, 60, 100, 100, 200, 400)),
        "timeout": "60s",
        "fusion": random.choice((_PLAIN, _PLAIN, "replace", "linear", "rrf")),
        "mode": random.choices(("rescore", "shadow", "split"), (84, 10, 6))[0],
    }
    if random.random() < 0.2:
        found["passages"] = {"size": 16, "stride": random.choice((8, 16)), "max_count": 3}
    if random.random() < 0.25:
        found["text_from"] = random.choice(("source", "fields", "highlight"))
    if random.random() < 0.2:
        found["query_fields"] = "mapped"
    return found
