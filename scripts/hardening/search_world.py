"""The indices that generated searches run on: several shards, small limits, odd documents. All from one seed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from elasticsearch import Elasticsearch

_VOCABULARY = (
    "fox dog quick brown lazy search engine query rank score shard index token stem merge flush river stone green "
    "apple orange music house night light water paper train window garden 2024 42 v2 naïve straße 東京 emoji😀 e-mail "
    "don't C++ and or not AT&T"
)
WORDS = _VOCABULARY.split()
DIMENSIONS = 4
_ODD_TEXTS: tuple[Any, ...] = (
    "",
    "   ",
    None,
    ["fox", "dog"],
    ["fox", None, ""],
    [],
    "fox <b>bold</b> &amp; <script>x</script>",
    "fox \u0000 nul \u0001 \u2028 \ufffe \U0010ffff",
    'fox "took":1,"_score":2.0} \\" /* */',
    "fox " * 700,
    "fox\nlines\r\n\tand tabs",
)
_CUT_TEXTS = ("fox \ud83d cut", "fox \udc00\ud800 turned")
_CUT_VALUES = ('"\\ud83d"', '{"\\ud83d":"key"}')
"""Lone surrogates, which Elasticsearch stores and returns: in some indices only, so that the others stay readable."""
_ODD_VALUES: tuple[str, ...] = (
    "1e30",
    "-0",
    "-0.0",
    "123456789012345678901234567890",
    "1.00",
    "1E+2",
    "9007199254740993",
    '{"took":1,"hits":{"hits":[]}}',
    '{"_score":1.5,"_source":{"a":[]}}',
    "[[[[[[[[1]]]]]]]]",
    '{"":""}',
    '"\\u0000\\u001f\\u007f"',
)


@dataclass(frozen=True)
class Index:
    """One index: its settings, and how many documents it has."""

    name: str
    count: int
    shards: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    source: bool = True
    routed: bool = False
    cut: bool = False


INDICES = (
    Index("fz-a", 150, shards=3),
    Index("fz-b", 60, cut=True),
    Index("fz-small", 45, settings={"max_result_window": 50}),
    Index("fz-tiny", 4, settings={"max_result_window": 3}),
    Index("fz-routed", 60, shards=3, routed=True, cut=True),
    Index("fz-nosource", 40, source=False),
    Index("fz-hidden", 30, settings={"hidden": True}),
    Index(".fz-dot", 20, settings={"hidden": True}),
    Index("fz-empty", 0, shards=2),
    Index("fz-logs-2024.05.01-000001", 40),
    Index("other-fz", 40),
)
EMPTY = {index.name for index in INDICES if index.count == 0}
ALIASES = {
    "al-both": ["fz-a", "fz-b"],
    "al-filtered": ["fz-a"],
    "al-mixed": ["fz-b", "other-fz"],
    "al-small": ["fz-b", "fz-small"],
    "al-hidden": ["fz-hidden"],
}
_TEXT = {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 256}}}
_PROPERTIES = {
    "title": _TEXT,
    "body": {"type": "text"},
    "tags": {"type": "text", "fielddata": True},
    "kind": {"type": "keyword"},
    "n": {"type": "integer"},
    "v": {"type": "dense_vector", "dims": DIMENSIONS, "similarity": "l2_norm", "index_options": {"type": "flat"}},
    "notes": {"type": "nested", "properties": {"text": {"type": "text"}}},
    "odd": {"type": "object", "enabled": False},
}


@dataclass
class World:
    """What was put into the indices: for each hit's index, id and routing the document, as it was sent."""

    documents: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)


@contextlib.contextmanager
def built(url: str, seed: int) -> Iterator[World]:
    """Make the indices anew and fill them, for the length of the block; nothing in them changes meanwhile."""
    world, random = World(), Random(f"{seed}/world")
    with Elasticsearch(url, request_timeout=120) as client:
        for index in INDICES:
            _create(client, index)
            _fill(client, index, random, world)
        for alias, names in ALIASES.items():
            condition = {"range": {"n": {"lt": 90}}} if alias == "al-filtered" else None
            client.indices.put_alias(index=",".join(names), name=alias, filter=condition)
        yield world
        for index in INDICES:
            client.indices.delete(index=index.name, ignore_unavailable=True)


def _create(client: Elasticsearch, index: Index) -> None:
    client.indices.delete(index=index.name, ignore_unavailable=True)
    properties: dict[str, Any] = {**_PROPERTIES}
    if not index.source:
        properties |= {"title": {"type": "text", "store": True}, "body": {"type": "text", "store": True}}
    client.indices.create(
        index=index.name,
        settings={"number_of_shards": index.shards, "number_of_replicas": 0, "refresh_interval": -1} | index.settings,
        mappings={"properties": properties, **({} if index.source else {"_source": {"enabled": False}})},
    )


def _fill(client: Elasticsearch, index: Index, random: Random, world: World) -> None:
    lines = []
    for name, routing, document, raw in _documents(index, random):
        action = {"_id": name, **({"routing": routing} if routing else {})}
        lines.append(json.dumps({"index": action}) + "\n" + raw + "\n")
        world.documents[index.name, name, routing] = document
    if lines:
        headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
        body = "".join(lines).encode()
        answer = client.perform_request("POST", f"/{index.name}/_bulk?refresh=true", headers=headers, body=body)
        failed = [item["index"]["error"] for item in answer["items"] if "error" in item["index"]]
        if failed:
            raise RuntimeError(f"{index.name}: {failed[0]}")
    client.indices.refresh(index=index.name)
    client.indices.forcemerge(index=index.name, max_num_segments=1)


def _documents(index: Index, random: Random) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Yield id, routing, document and its JSON; of a routed index every id is on several shards."""
    last: dict[str, Any] = {}
    for i in range(index.count):
        document = {**last, "n": i} if last and random.random() < 0.3 else _document(i, index, random)
        last = document
        name, routing = (f"{i // 3}", f"r{i % 3}") if index.routed else (f"{i}", "")
        yield name, routing, document, _json(document, index, random)


def _document(i: int, index: Index, random: Random) -> dict[str, Any]:
    document: dict[str, Any] = {
        "title": sentence(random, 1, 5),
        "body": sentence(random, 0, 24),
        "kind": f"k{random.randrange(6)}",
        "n": i,
        "v": vector(random),
    }
    if random.random() < 0.3:
        document["tags"] = [sentence(random, 1, 2) for _ in range(random.randint(1, 3))]
    if random.random() < 0.3:
        document["notes"] = [{"text": sentence(random, 1, 6)} for _ in range(random.randint(1, 3))]
    if random.random() < 0.15:
        odd = _ODD_TEXTS + (_CUT_TEXTS if index.cut else ())
        document[random.choice(("title", "body", "tags"))] = random.choice(odd)
    if random.random() < 0.1:
        del document[random.choice(("title", "body"))]
    return document


def _json(document: dict[str, Any], index: Index, random: Random) -> str:
    raw = json.dumps(document)
    if random.random() < 0.15:
        odd = _ODD_VALUES + (_CUT_VALUES if index.cut else ())
        return raw[:-1] + f',"odd":{{"x":{random.choice(odd)}}}}}'
    return raw


def sentence(random: Random, least: int, most: int) -> str:
    """Return some words, the first ones of the vocabulary most often."""
    count = random.randint(least, most)
    return " ".join(WORDS[min(int(random.expovariate(0.16)), len(WORDS) - 1)] for _ in range(count))


def vector(random: Random) -> list[float]:
    """Return a vector for the field `v`."""
    return [round(random.random(), 2) for _ in range(DIMENSIONS)]
