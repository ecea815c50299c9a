"""Query strings at random: the words that the model would read against those that Elasticsearch searches.

What must hold, field by field: no word that Elasticsearch searches is missing, none that it excludes or does not search
is there. Elasticsearch itself says what it searches; strings that it refuses are counted only.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from elasticsearch import BadRequestError, Elasticsearch

from hardening.explained import folded, searched
from sidecar.config.model import IndexMapping
from sidecar.rescoring.query_text import tree
from sidecar.rescoring.query_text.text_fields import TextFields

INDEX = "fuzz-text"
_FIELDS = ("title", "body")
_WORDS = [
    *("iphone", "64GB", "star", "A", "wars", "jet-engine", "jet\\-engine", "c++"),
    *("AT&T", "naïve", "東京", "x1", "star\\ wars", "not", "or", "12"),
]
_JOINTS = [
    *(" ", " ", " ", " ", "  ", "\t", "\u3000", " AND "),
    *(" OR ", " NOT ", " && ", " || ", " - ", " ! ", " + ", " | "),
]
_JOINTS_ODD = ["", "|", "+", "-", "!", "&", ":", "--", " AND NOT ", " OR -", " AND -", " AND +"]
_SIGNS = ["", "", "", "", "+", "-", "!", "- ", "NOT ", "--", "\\-"]
_PREFIXES = ["", "", "", "", "title:", "body:", "title: ", "body : ", "ti\\tle:", "count:", "count: ", "*:"]
_SUFFIXES = ["", "", "", "", "~", "~1", "~AUTO", "~2", "^2", "^0.5", "^2~1", "~1^3", "*", "\\*", "\\~", "~ "]
_OPERANDS = [">10", ">=10", "<5", "[1 TO 5]", "{1 TO *}", "[* TO 2]", '["a b" TO c]', "*", "\\>10", "\\u0041b"]
_FLAGS = (
    "ALL",
    "NONE",
    "AND",
    "OR|AND|PREFIX|WHITESPACE",
    "PHRASE|PRECEDENCE",
    "NOT|WHITESPACE",
    "or|not|escape",
    "FUZZY|NEAR|WHITESPACE",
    0,
    -1,
    35,
)


@dataclass
class Findings:
    """What was seen. ``faults`` are strings whose words differ."""

    cases: int = 0
    refused: int = 0
    ambiguous: int = 0
    words: int = 0
    faults: list[str] = field(default_factory=list)


def fuzz(client: Elasticsearch, random: Random, more: Callable[[int], bool]) -> Findings:
    """Compare strings as long as ``more(strings compared so far)`` says."""
    client.options(ignore_status=404).indices.delete(index=INDEX)
    properties = {name: {"type": "text"} for name in _FIELDS} | {"count": {"type": "long"}}
    settings = {"number_of_replicas": 0, "index.query.default_field": list(_FIELDS)}
    client.indices.create(index=INDEX, mappings={"properties": properties}, settings=settings)
    # `*:` searches fields that have values
    client.index(index=INDEX, document=dict.fromkeys(_FIELDS, "x") | {"count": 1}, refresh=True)
    findings = Findings()
    while more(findings.cases) and len(findings.faults) < 20:
        _compare(client, _case(random), findings)
    return findings


def _case(random: Random) -> dict[str, Any]:
    """Return a query of either kind."""
    kind = random.choice(("query_string", "simple_query_string"))
    clause: dict[str, Any] = {"query": _string(random, 3)}
    fields = random.choice((None, ["title"], ["title^2", "body"], ["body"]))
    if fields is not None:
        clause["fields"] = fields
    elif kind == "query_string" and random.random() < 0.5:
        clause["default_field"] = random.choice(_FIELDS)
    if kind == "simple_query_string" and random.random() < 0.5:
        clause["flags"] = random.choice(_FLAGS)
    if random.random() < 0.3:
        clause["default_operator"] = "and"
    return {kind: clause}


def _string(random: Random, depth: int) -> str:
    pieces = []
    for _ in range(random.randint(1, 5)):
        pieces += [random.choice(_SIGNS), random.choice(_PREFIXES), _operand(random, depth), random.choice(_SUFFIXES)]
        pieces.append(random.choice(_JOINTS if random.random() < 0.9 else _JOINTS_ODD))
    text = "".join(pieces[:-1])
    at = random.randrange(len(text) + 1)
    return text if random.random() < 0.9 else text[:at] + random.choice('()":~*^+-!| ') + text[at:]


def _operand(random: Random, depth: int) -> str:
    kind = random.random()
    if kind < 0.15 and depth:
        return f"({_string(random, depth - 1)})"
    if kind < 0.3:
        return f'"{" ".join(random.choices(_WORDS, k=random.randint(0, 3)))}"'
    return random.choice(_OPERANDS) if kind < 0.4 else random.choice(_WORDS)


def _explanation(client: Elasticsearch, query: dict[str, Any]) -> str | None:
    """Return what Elasticsearch searches, None when it refuses the query."""
    try:
        answer = client.indices.validate_query(index=INDEX, query=query, explain=True, rewrite=False)
    except BadRequestError:
        return None
    return str(answer["explanations"][0]["explanation"]) if answer["valid"] else None


def _compare(client: Elasticsearch, query: dict[str, Any], findings: Findings) -> None:
    explanation = _explanation(client, query)
    if explanation is None:
        findings.refused += 1
        return
    try:
        by_field = searched(explanation)
    except ValueError:
        findings.ambiguous += 1
        return
    findings.cases += 1
    for fields in (("title",), ("body",), _FIELDS):
        theirs = set().union(*(by_field.get(name, ()) for name in fields))
        ours = set(read(query, fields))
        findings.words += len(theirs)
        if ours != theirs:
            missing, invented = sorted(theirs - ours), sorted(ours - theirs)
            findings.faults.append(f"{query} on {fields}: missing {missing}, invented {invented}; {explanation}")


def read(query: dict[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    """Yield the words that the model would read if only ``fields`` counted."""
    mapping = IndexMapping.model_validate({"fields": fields, "query_fields": "mapped"})
    for text in tree.texts({"query": query}, TextFields(mapping)):
        yield from folded(text)


@contextlib.contextmanager
def _node(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    script = str(Path(__file__).parents[1] / "elasticsearch")
    with tempfile.TemporaryDirectory() as data:
        start = [script, "--port", "0", "--data", data, "--background"]
        started = subprocess.run(start, check=True, capture_output=True, text=True)
        try:
            yield started.stdout.strip()
        finally:
            subprocess.run([script, "--stop", data], check=True)


def main() -> int:
    """Run for some minutes, or for a number of strings; the exit code says whether any differed."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz text", description=__doc__)
    parser.add_argument("--minutes", type=float, help="run for this long instead of for a number of strings")
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the clock")
    parser.add_argument("--elasticsearch", help="URL of a node; default: one is started")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    ends = time.monotonic() + (args.minutes or 0) * 60
    with _node(args.elasticsearch) as url, Elasticsearch(url) as client:
        findings = fuzz(
            client,
            Random(args.seed),
            lambda cases: time.monotonic() < ends if args.minutes else cases < args.strings,
        )
    print(f"{findings.cases} strings with {findings.words} words compared")
    print(f"not compared: {findings.refused} that Elasticsearch refuses, {findings.ambiguous} explained ambiguously")
    print("\n".join(findings.faults) or "no word missing, none invented")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
