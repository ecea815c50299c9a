"""Requests and answers that are cheap to send and may be dear to work off. Pure: everything follows from the generator.

A case is a few values built of fragments that are repeated, at places of a search and of the answer to it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final
from urllib.parse import quote

FRAGMENTS: Final = (
    *(
        "a",
        "*",
        "a*",
        "*a*b",
        "**",
        ".",
        "a.",
        "**.",
        "-",
        "-*",
        ",",
        "\\",
        "\\.",
        "?",
        "[",
        "(",
        ")",
        "{",
        "}",
        '"',
        "'",
    ),
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "\0",
        "/",
        "^",
        "~",
        ":",
        "+",
        "!",
        "&&",
        "||",
        " OR ",
        " NOT ",
        "a:b ",
        "a:(",
        "[a TO ",
        "1",
    ),
    *(
        "<",
        "<a",
        "<a ",
        "<a>",
        '<a b="',
        "</",
        "<!--",
        "-->",
        "<script>",
        "</script",
        "<![CDATA[",
        "&",
        "&amp",
        "&#",
        "<em>",
    ),
    *(
        "é",
        "e\u0301",
        "東",
        "\U0001f600",
        "\ud800",
        "x" * 99,
        "title",
        "zip archive ",
        "_source",
        "hits",
        "aggs",
    ),
)
VALUES: Final = (
    "0",
    "1e9",
    "true",
    "null",
    '""',
    '"a"',
    "{}",
    "[]",
    '{"a":1}',
    '{"match":{"title":"zip"}}',
    "[[]]",
)
SLOTS: Final = (
    *(
        "x",
        "_source",
        "_source.excludes",
        "query",
        "query.bool.must",
        "query.bool.should",
        "query.match.title",
        "aggs",
    ),
    *(
        "query.query_string.query",
        "query.simple_query_string.query",
        "query.multi_match.fields",
        "query.intervals.title",
    ),
    *(
        "query.more_like_this.like",
        "query.wrapper.query",
        "query.nested.query",
        "query.terms.title",
        "highlight.pre_tags",
    ),
    *(
        "highlight.fields",
        "fields",
        "stored_fields",
        "sort",
        "ext",
        "ext.rescore",
        "ext.rescore.query",
        "knn",
        "rescore",
    ),
    *(
        "retriever",
        "retriever.rrf.retrievers",
        "sub_searches",
        "post_filter",
        "collapse",
        "from",
        "size",
        "pit.id",
        "suggest",
    ),
)
HIT_SLOTS: Final = (
    "_source",
    "_source.title",
    "_source.body.text",
    "fields",
    "fields.title",
    "highlight.title",
    "sort",
    "x",
)
ANSWER_SLOTS: Final = (
    "aggregations",
    "aggregations.a",
    "suggest",
    "x",
    "_shards",
    "profile",
    "timed_out",
    "hits.total",
)
PARAMETERS: Final = (
    "filter_path",
    "_source",
    "_source_includes",
    "q",
    "sort",
    "stored_fields",
    "preference",
    "x",
    "source",
)
HEADERS: Final = (
    "accept",
    "content-type",
    "x-rescore-query",
    "x-rescore-window-size",
    "x-opaque-id",
    "authorization",
)
_LINE: Final = 60_000  # what the listener takes of a request line or header


@dataclass(frozen=True)
class Piece:
    """A value: ``shape`` says how ``fragment`` is repeated until the value has its share of the bytes."""

    slot: str
    shape: str
    fragment: str
    share: float = 1.0


@dataclass(frozen=True)
class Line:
    """A parameter, header or index expression: ``fragment`` again and again, once something before and after it."""

    head: str
    fragment: str
    tail: str = ""

    def text(self, size: int) -> str:
        """Return the whole of it, about ``size`` characters."""
        return self.head + self.fragment * (size // max(1, len(self.fragment))) + self.tail


@dataclass(frozen=True)
class Case:
    """What one client sends, and what Elasticsearch answers."""

    endpoint: str = "_search"
    index: Line | None = None
    body: tuple[Piece, ...] = ()
    hits: tuple[Piece, ...] = ()
    answer: tuple[Piece, ...] = ()
    parameters: Mapping[str, Line] = field(default_factory=dict)
    headers: Mapping[str, Line] = field(default_factory=dict)
    coding: str = ""


@dataclass(frozen=True)
class Built:
    """A case as bytes; ``size`` is all that a client and documents had to hold for it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    answer: bytes

    @property
    def size(self) -> int:
        """Bytes of the request and of the answer."""
        heads = len(self.target) + sum(len(name) + len(value) for name, value in self.headers.items())
        return heads + len(self.body) + len(self.answer)


def _text(fragment: str, size: int) -> str:
    return json.dumps(fragment * max(1, size // max(1, len(json.dumps(fragment)) - 2)))


def _numbered(fragment: str, size: int) -> list[str]:
    count = max(1, size // (len(json.dumps(fragment)) + 6))
    return [json.dumps(f"{fragment}{number}") for number in range(count)]


def _count(value: str, size: int, more: int = 1) -> int:
    return max(1, size // (len(value) + more))


SHAPES: Final[Mapping[str, Callable[[str, int], str]]] = {
    "text": _text,
    "texts": lambda fragment, size: "[" + ",".join(_numbered(fragment, size)) + "]",
    "keys": lambda fragment, size: "{" + ",".join(f"{key}:1" for key in _numbered(fragment, size)) + "}",
    "long keys": lambda fragment, size: "{" + ",".join(f"{key}:1" for key in _numbered(fragment * 40, size)) + "}",
    "objects": lambda fragment, size: "{" + ",".join(f"{key}:{{}}" for key in _numbered(fragment, size)) + "}",
    "array": lambda value, size: "[" + ",".join([value] * _count(value, size)) + "]",
    "nested arrays": lambda value, size: "[" * 400 + ",".join([value] * _count(value, size)) + "]" * 400,
    "nested objects": lambda value, size: '{"a":' * 90 + "[" + ",".join([value] * _count(value, size)) + "]" + "}" * 90,
    "nested clauses": lambda value, size: (
        '{"bool":{"must":' * 30 + "[" + ",".join([value] * _count(value, size)) + "]" + "}}" * 30
    ),
    "spaces": lambda value, size: " " * size + value,
}
_OF_TEXT: Final = ("text", "texts", "keys", "long keys", "objects")
_GLOBS: Final = ("a*", "*a", "a*b", "*", "a", "a,", "a*,", "a.", "*.", "**.")


def piece(random: Random, slots: tuple[str, ...]) -> Piece:
    """Return a random value at a random place."""
    shape = random.choice(list(SHAPES))
    if shape in _OF_TEXT:
        return Piece(
            random.choice(slots),
            shape,
            "".join(random.choices(FRAGMENTS, k=random.choice((1, 1, 2, 3)))),
        )
    return Piece(random.choice(slots), shape, random.choice(VALUES))


def case(random: Random) -> Case:
    """Return a random case: one or two things are odd, the rest is a plain search."""
    made = Case()
    for _ in range(random.choice((1, 1, 2))):
        made = mutated(made, random)
    return made


def mutated(made: Case, random: Random) -> Case:
    """Return a case that differs in one thing."""
    return random.choice(_MUTATIONS)(made, random)


def _line(random: Random, *heads: str) -> Line:
    fragment = "".join(random.choices(FRAGMENTS, k=random.choice((1, 2, 3))))
    return Line(random.choice(heads or ("",)), fragment, random.choice(("", "", *FRAGMENTS)))


def _pattern_and_names(made: Case, random: Random) -> Case:
    """Let patterns of few letters meet names of the same letters."""
    pattern = Line(
        random.choice(("aggregations.", "**.")),
        random.choice(_GLOBS),
        random.choice(("", "b", "*b")),
    )
    names = Piece("aggregations", random.choice(("keys", "long keys")), random.choice(("a", "ab")))
    return replace(made, parameters={"filter_path": pattern}, answer=(names,))


_MUTATIONS: Final[tuple[Callable[[Case, Random], Case], ...]] = (
    lambda made, random: replace(made, body=(*made.body[-1:], piece(random, SLOTS))),
    lambda made, random: replace(made, body=(piece(random, SLOTS),)),
    lambda made, random: replace(made, hits=(piece(random, HIT_SLOTS),)),
    lambda made, random: replace(made, answer=(piece(random, ANSWER_SLOTS),)),
    lambda made, random: replace(made, parameters={**made.parameters, random.choice(PARAMETERS): _line(random)}),
    lambda made, random: replace(
        made,
        parameters={"filter_path": _line(random, "aggregations.", "**.", "")},
        answer=(piece(random, ANSWER_SLOTS),),
    ),
    lambda made, random: replace(made, headers={random.choice(HEADERS): _line(random)}),
    lambda made, random: replace(made, index=_line(random, "i*,", "i,", "")),
    lambda made, random: replace(
        made,
        endpoint=random.choice(("_search", "_msearch", "_search/template", "_async_search")),
    ),
    lambda made, random: replace(made, index=Line("h", "")),
    lambda made, random: replace(made, coding=random.choice(("", "gzip"))),
    lambda made, random: replace(made, body=(), hits=(), answer=()),
    _pattern_and_names,
)


def built(made: Case, size: int) -> Built:
    """Return a case as bytes, about ``size`` of them."""
    pieces = [*made.body, *made.hits, *made.answer]
    share = size // max(1, len(pieces))
    search = _document(
        '{"query":{"match":{"title":"zip"}}}',
        [(each, SHAPES[each.shape](each.fragment, share)) for each in made.body],
    )
    answer = _answer(made, share)
    headers = {"content-type": "application/json"}
    headers |= {name: _on_the_wire(value.text(_LINE)) for name, value in made.headers.items()}
    if made.endpoint == "_msearch":
        lines = max(1, (size if not made.body else 1) // (len(search) + 14))
        search = f'{{"index":"i"}}\n{search}\n' * lines
        answer = f'{{"took":1,"responses":[{",".join([_with_status(answer)] * min(lines, 50))}]}}'
    if made.endpoint == "_async_search":
        answer = f'{{"id":"x","is_partial":false,"is_running":false,"response":{answer}}}'
    body = search.encode("utf-8", "surrogatepass")
    if made.coding == "gzip":
        body, headers = gzip.compress(body, 6), {**headers, "content-encoding": "gzip"}
    return Built("POST", _target(made), headers, body, answer.encode("utf-8", "surrogatepass"))


def _with_status(answer: str) -> str:
    return answer[:-1] + ',"status":200}'


def _on_the_wire(text: str) -> str:
    """Return a header's value as the proxy decodes it."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def _target(made: Case) -> str:
    index = "i" if made.index is None else _quoted(made.index, "*,-", 15_000 if made.index.fragment else 0)
    longest = 3900 if "filter_path" in made.parameters else _LINE // 3
    given = "&".join(f"{name}={_quoted(value, '', longest)}" for name, value in made.parameters.items())
    return f"/{index}/{made.endpoint}" + (f"?{given}" if given else "")


def _quoted(value: Line, safe: str, size: int) -> str:
    """Return a value as it is in a request line, which has room for no more than so much."""
    text = quote(value.text(size), safe=safe, errors="replace")[: _LINE // 3]
    return text[: text.rindex("%")] if "%" in text[-2:] else text


def _answer(made: Case, share: int) -> str:
    hit = '{"_index":"i","_id":"1","_score":1.0,"_source":{"title":"zip","body":{"text":"zip"}}}'
    odd = _document(hit, [(each, SHAPES[each.shape](each.fragment, share)) for each in made.hits])
    plain = '{"took":1,"timed_out":false,"_shards":{"total":1,"failed":0},"hits":{"total":{"value":2},"max_score":1.0}}'
    whole = _document(
        plain,
        [(each, SHAPES[each.shape](each.fragment, share)) for each in made.answer],
    )
    hits = f'"hits":[{odd},{hit.replace(chr(34) + "1" + chr(34), chr(34) + "2" + chr(34))}]'
    return whole.replace('"max_score":1.0', '"max_score":1.0,' + hits, 1)


def _document(plain: str, placed: list[tuple[Piece, str]]) -> str:
    """Put raw values into a document at their dotted places, which are made where they are missing."""
    value = json.loads(plain)
    for number, (each, _) in enumerate(placed):
        inner, names = value, each.slot.split(".")
        for name in names[:-1]:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]
        inner[names[-1]] = f"\0{number}\0"
    text = json.dumps(value, separators=(",", ":"))
    for number, (_, raw) in enumerate(placed):
        text = text.replace(json.dumps(f"\0{number}\0"), raw, 1)
    return text
