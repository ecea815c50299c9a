"""Generated queries and what a search may ask for beside hits. Pure: all follows from the random generator given."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

from hardening.search_world import sentence, vector

_FIELDS = ("title", "body", "tags")
Clause = dict[str, Any]


def _words(random: Random) -> str:
    text = sentence(random, 1, 4)
    return f"{text} \ud83d" if random.random() < 0.03 else text


def _match(random: Random) -> Clause:
    options = random.choice(({}, {}, {"operator": "or"}, {"fuzziness": "AUTO"}, {"boost": 2, "_name": "named"}))
    return {"match": {random.choice(_FIELDS): {"query": _words(random), **options}}}


def _multi_match(random: Random) -> Clause:
    kind = random.choice(("best_fields", "most_fields", "cross_fields", "phrase", "bool_prefix"))
    return {"multi_match": {"query": _words(random), "fields": ["title^2", "body"], "type": kind}}


def _knn(random: Random) -> Clause:
    clause: Clause = {"field": "v", "query_vector": vector(random)}
    return {"knn": clause | ({} if random.random() < 0.4 else {"k": random.choice((3, 10, 25)), "num_candidates": 50})}


def _bool(random: Random) -> Clause:
    clause: Clause = {"must": [_text_clause(random)]}
    if random.random() < 0.5:
        clause["should"] = [random.choice((_match, _knn))(random)]
    if random.random() < 0.4:
        clause["filter"] = [_filter(random)]
    if random.random() < 0.2:
        clause["must_not"] = [{"term": {"kind": f"k{random.randrange(6)}"}}]
    return {"bool": clause}


def _filter(random: Random) -> Clause:
    return random.choice(
        (
            {"range": {"n": {"lt": random.randint(5, 150)}}},
            {"terms": {"kind": ["k1", "k2", "k3"]}},
            {"exists": {"field": "body"}},
            {"match": {"body": _words(random)}},
        )
    )


def _wrapper(random: Random) -> Clause:
    inner = json.dumps(random.choice((_match, _knn))(random)).encode()
    wrapped = {"wrapper": {"query": base64.b64encode(inner).decode()}}
    return {"bool": {"must": [_match(random)], "should": [wrapped]}}


_TEXT: tuple[Callable[[Random], Clause], ...] = (
    _match,
    _match,
    _multi_match,
    lambda random: {"query_string": {"query": f"title:{sentence(random, 1, 1)} fox", "lenient": True}},
    lambda random: {"simple_query_string": {"query": f"{_words(random)} +fox -merge", "fields": list(_FIELDS)}},
    lambda random: {"match_phrase": {"body": sentence(random, 1, 2)}},
    lambda random: {"match_phrase_prefix": {"title": sentence(random, 1, 1)}},
    lambda random: {"dis_max": {"queries": [_match(random), _match(random)], "tie_breaker": 0.3}},
    lambda random: {"constant_score": {"filter": _match(random)}},
    lambda random: {"function_score": {"query": _match(random), "field_value_factor": {"field": "n", "missing": 1}}},
    lambda random: {"nested": {"path": "notes", "query": {"match": {"notes.text": _words(random)}}, "inner_hits": {}}},
)


def _text_clause(random: Random) -> Clause:
    return random.choice(_TEXT)(random)


def query(random: Random) -> Clause:
    """Return a query, nearly always one with words in it."""
    kinds: tuple[Callable[[Random], Clause], ...] = (_text_clause, _bool, _wrapper, _knn, lambda _: {"match_all": {}})
    [chosen] = random.choices(kinds, weights=(60, 30, 5, 3, 2))
    return chosen(random)


def retriever(random: Random) -> Clause:
    """Return a retriever of a kind that every node has."""
    standard = {"standard": {"query": query(random)} | random.choice(({}, {"filter": _filter(random)}))}
    if random.random() < 0.7:
        return standard
    step = {"window_size": random.choice((5, 30)), "query": {"rescore_query": _match(random)}}
    return {"rescorer": {"retriever": standard, "rescore": step}}


def _aggregations(random: Random) -> Any:
    return random.choice(
        (
            {"kinds": {"terms": {"field": "kind"}}},
            {"near": {"filter": {"bool": {"should": [_knn(random)]}}}},
            {"near": {"filters": {"filters": {"a": _knn(random), "b": _match(random)}}}},
            {"top": {"terms": {"field": "kind"}, "aggs": {"hits": {"top_hits": {"size": 2}}}}},
            {"odd \ud83d": {"global": {}, "aggs": {"n": {"avg": {"field": "n"}}}}},
        )
    )


# What may stand in a body beside the query, and changes which hits there are, in which order.
CONTENT: dict[str, Callable[[Random], Any]] = {
    "collapse": lambda random: {
        "field": random.choice(("kind", "n")),
        **random.choice(({}, {}, {"inner_hits": {"name": "same", "size": 2}})),
    },
    "post_filter": lambda random: random.choice((_filter, _knn))(random),
    "min_score": lambda random: random.choice((0.1, 0.8, 1.5)),
    "indices_boost": lambda _: [{"fz-b": 1.4}],
    "rescore": lambda random: {
        "window_size": random.choice((5, 30)),
        "query": {"rescore_query": random.choice((_match, _knn))(random), "query_weight": 0.5},
    },
    "knn": lambda random: _knn(random)["knn"],
}
# What changes nothing in hits and their order.
PRESENTATION: dict[str, Callable[[Random], Any]] = {
    "_source": lambda random: random.choice((False, True, "n", ["title"], {"excludes": ["b*", "tags"]}, [])),
    "fields": lambda random: random.choice((["title"], ["*"], [{"field": "kind"}])),
    "stored_fields": lambda random: random.choice((["title"], "body", ["_source", "title"])),
    "docvalue_fields": lambda _: ["n", "kind"],
    "highlight": lambda random: {"fields": {"body": {}}, **random.choice(({}, {"highlight_query": _knn(random)}))},
    "explain": lambda _: True,
    "version": lambda _: True,
    "seq_no_primary_term": lambda _: True,
    "track_scores": lambda _: True,
    "sort": lambda random: random.choice(("_score", [{"_score": "desc"}], ["_score"])),
    "track_total_hits": lambda random: random.choice((True, False, 20)),
    "aggs": _aggregations,
    "suggest": lambda _: {"s": {"text": "foz", "term": {"field": "title"}}},
    "stats": lambda _: ["group"],
    "timeout": lambda _: "30s",
}
# Parameters that change nothing in hits and their order.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "typed_keys": ("true", ""),
    "rest_total_hits_as_int": ("true",),
    "pretty": ("true", ""),
    "human": ("",),
    "search_type": ("query_then_fetch",),
    "pre_filter_shard_size": ("1",),
    "batched_reduce_size": ("2",),
    "max_concurrent_shard_requests": ("1",),
    "allow_partial_search_results": ("true", "false"),
    "request_cache": ("false",),
    "_source_includes": ("n", "title,n"),
    "_source_excludes": ("title", "*"),
    "filter_path": (
        "hits.hits._id,hits.hits._index,hits.hits._routing,hits.hits._score,hits.total,_shards",
        "**._id,**._index,**._routing",
        "-hits.hits._source,-took",
        "hits",
        "-hits.max_score",
    ),
    "error_trace": ("false",),
    "_source": ("false", "n", "t*"),
    "stored_fields": ("title", "_source,body"),
    "docvalue_fields": ("n",),
    "sort": ("_score", "_score:desc"),
    "track_total_hits": ("true", "15"),
    "explain": ("true", ""),
    "version": ("true",),
    "seq_no_primary_term": ("true", ""),
}
# Parameters that change which hits there are.
CONTENT_PARAMETERS: dict[str, tuple[str, ...]] = {
    "routing": ("r1", "r0,r2"),
    "search_type": ("dfs_query_then_fetch",),
    "preference": ("_local", "session"),
    "q": ("title:fox", "fox+dog", "body:(fox%20dog)"),
    "scroll": ("1m",),
    "nonsense": ("1",),
}


def size_matters(value: Any) -> bool:
    """Return whether a body holds `knn` without `k`, which takes as many neighbours as hits are asked for."""
    if isinstance(value, list):
        return any(size_matters(item) for item in value)
    if not isinstance(value, dict):
        return False
    knn, wrapped = value.get("knn"), value.get("wrapper")
    if isinstance(knn, dict) and "field" in knn and "k" not in knn:
        return True
    if isinstance(wrapped, dict):
        return size_matters(json.loads(base64.b64decode(wrapped["query"])))
    return any(size_matters(item) for item in value.values())
