"""The table of docs/elasticsearch-compatibility.md as data: every feature by minimal requests that tests send.

`tests/test_compatibility.py` holds it against what the code decides, and against the official client's own list;
`tests/end_to_end/test_features.py` sends every request to a real node of each version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.commands.reference import replaced
from sidecar.reasons import Reason
from tests import compatibility_endpoints
from tests.compatibility_endpoints import Endpoint

PAGE = Path(__file__).parents[1] / "docs" / "elasticsearch-compatibility.md"
RESCORED = "rescored"
FOX: dict[str, Any] = {"match": {"title": "fox"}}
QUERY: dict[str, Any] = {"query": FOX}
STANDARD: dict[str, Any] = {"standard": QUERY}
KNN: dict[str, Any] = {"field": "vec", "query_vector": [1, 0], "k": 5, "num_candidates": 30}
SAYS_SO = "test_features.py::test_a_feature_that_passes"
SHOWS = "test_features.py::test_a_feature_that_is_rescored"
STOOD_IN = "test_stood_in.py::test_a_feature_that_the_node_lacks"


@dataclass(frozen=True, kw_only=True)
class Search:
    """One request: JSON body (None for none), query parameters, headers. ``versions`` of the node that know it."""

    body: dict[str, Any] | None
    parameters: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    index: str = "articles"
    versions: tuple[int, ...] = (8, 9)

    @property
    def path(self) -> str:
        """The target."""
        return f"/{self.index}/_search" + (f"?{self.parameters}" if self.parameters else "")

    @property
    def name(self) -> str:
        """What tests call it."""
        return f"{self.path} {json.dumps(self.body)}"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A row. ``outcome`` is `rescored` or the reason; ``test`` shows it, for each request."""

    name: str
    searches: tuple[Search, ...]
    outcome: str = RESCORED
    test: str = SHOWS
    note: str = ""


def with_body(name: str, *bodies: dict[str, Any], **row: Any) -> Feature:
    """Return a row of requests that differ in their bodies; the query is theirs or `FOX`."""
    own = ("query", "retriever")
    searches = tuple(Search(body=b if any(k in b for k in own) else QUERY | b) for b in bodies)
    return _row(name, searches, row)


def with_parameters(name: str, *parameters: str, **row: Any) -> Feature:
    """Return a row of requests that differ in their parameters."""
    return _row(name, tuple(Search(body=QUERY, parameters=p) for p in parameters), row)


def with_searches(name: str, *searches: Search, **row: Any) -> Feature:
    """Return a row of any requests."""
    return _row(name, searches, row)


def _row(name: str, searches: tuple[Search, ...], row: dict[str, Any]) -> Feature:
    test = SHOWS if row.get("outcome", RESCORED) == RESCORED else SAYS_SO
    return Feature(**{"name": name, "searches": searches, "test": test} | row)


def nested(body: dict[str, Any]) -> Search:
    """Return a request to the index with vectors and nested documents."""
    return Search(body=body, index="nested")


VERSIONED = "application/vnd.elasticsearch+json;compatible-with=8"
RANKED = {"retrievers": [STANDARD, {"standard": {"query": {"match": {"body": "dog"}}}}], "rank_window_size": 50}
LTR = {"window_size": 50, "learning_to_rank": {"model_id": "ltr", "params": {"query_text": "fox"}}}
RESCORE = {"window_size": 50, "query": {"rescore_query": {"match": {"body": "lazy dog"}}}}
SOURCES = (
    False,
    True,
    "n",
    ["n", "ti*"],
    ["tag", "n"],
    {"excludes": ["body"]},
    {"includes": ["*"], "excludes": ["t*"]},
)


def _lists() -> tuple[Feature, ...]:
    return (
        with_body("`from`, `size`", {"size": 5}, {"from": 3, "size": 5}, {"from": 95, "size": 10}, {"size": "3"}),
        with_parameters("`from`, `size` as parameters", "from=3&size=5"),
        with_body("`size: 0`", {"size": 0}, outcome=Reason.SIZE_0),
        with_body("a page after the window", {"from": 100}, outcome=Reason.BEYOND_WINDOW),
        with_body("`from`, `size` that are no numbers", {"size": "ten"}, {"from": -1}, outcome=Reason.BAD_PARAMETERS),
        with_body("`sort` by `_score` alone", *({"sort": s} for s in (["_score"], "_score", [{"_score": "desc"}], []))),
        with_body(
            "`sort` by anything else",
            *({"sort": s} for s in (["n"], [{"_score": "asc"}])),
            outcome=Reason.SORTED,
        ),
        with_body(
            "`sort` by `_score`, then tie-breakers",
            *({"sort": s} for s in (["_score", "n"], [{"_score": "desc"}, {"n": "asc"}], [{"_score": {}}, "_doc"])),
            outcome=Reason.SORTED,
            note="see below",
        ),
        with_parameters("`sort` as a parameter", "sort=_score:desc", "sort=_score"),
        with_body("`search_after`", {"sort": ["n"], "search_after": [5]}, outcome=Reason.SEARCH_AFTER),
        with_parameters("`scroll`", "scroll=1m", outcome=Reason.SCROLL),
        with_body("`slice`", {"slice": {"id": 0, "max": 2}}, outcome=Reason.SLICED),
        with_body(
            "`collapse`, also with `inner_hits`",
            {"collapse": {"field": "tag"}},
            {"collapse": {"field": "tag", "inner_hits": {"name": "most", "size": 2}}},
        ),
        with_body("`track_total_hits`", {"track_total_hits": False}, {"track_total_hits": 5}),
        with_body("`min_score`", {"min_score": 0.0001}, note="the first stage's"),
        with_body(
            "`ext.rescore.min_score`",
            {"ext": {"rescore": {"min_score": 0.0}}},
            note="the list ends with its window",
            test="test_features.py::test_the_lowest_score_ends_the_list_with_its_window",
        ),
        with_body("`terminate_after`", {"terminate_after": 100_000}, note="see below"),
        with_body("`timeout`", {"timeout": "30s"}),
    )


def _queries() -> tuple[Feature, ...]:
    pages = {
        "size": 5,
        "from": 5,
        "query": {"bool": {"should": [FOX, {"knn": {"field": "vec", "query_vector": [1, 0]}}]}},
    }
    return (
        with_body(
            "a query without text",
            {"query": {"match_all": {}}},
            {"query": {"term": {"tag": "t1"}}},
            outcome=Reason.NO_QUERY_TEXT,
        ),
        with_body(
            "full-text clauses that only filter: ids, numbers, dates, addresses",
            {"query": {"match": {"n": 12}}},
            {"query": {"match": {"tag": "t1"}}},
            {"query": {"query_string": {"query": "n:>10 AND tag: t1"}}},
            outcome=Reason.NO_QUERY_TEXT,
            note="see below",
        ),
        with_body(
            "`term`, `terms`, `prefix`, `fuzzy`, `wildcard`, `span_*`, `more_like_this` documents on mapped fields",
            {"query": {"term": {"title": "fox"}}},
            {"query": {"terms": {"body": ["fox", "running"]}}},
            {"query": {"prefix": {"title": "fo"}}},
            {"query": {"fuzzy": {"title": {"value": "fix"}}}},
            {"query": {"wildcard": {"title": {"value": "f*x"}}}},
            {
                "query": {
                    "span_near": {"clauses": [{"span_term": {"body": w}} for w in ("running", "search")], "slop": 9}
                }
            },
            {
                "query": {
                    "more_like_this": {"like": {"_index": "articles", "doc": {"title": "fox"}}, "min_term_freq": 1}
                }
            },
        ),
        with_searches(
            "`q`, `df`, `analyzer`, `analyze_wildcard`, `default_operator`, `lenient`",
            *(
                Search(body=None, parameters=p)
                for p in (
                    "q=fox",
                    "q=title:fox&_source=n,tag",
                    "q=fox&df=title",
                    "q=fox+AND+NOT+zebra&analyzer=standard&analyze_wildcard&default_operator=OR&lenient",
                )
            ),
        ),
        with_body("`_name`d clauses", {"query": {"match": {"title": {"query": "fox", "_name": "named"}}}}),
        with_parameters("`include_named_queries_score`", "include_named_queries_score"),
        with_body("`post_filter`", {"post_filter": {"term": {"tag": "t1"}}}),
        with_body("`indices_boost`", {"indices_boost": [{"articles": 2}]}),
        with_body("`rescore`", {"rescore": RESCORE}, {"rescore": [RESCORE]}, note="a first stage like any other"),
        with_body("`rescore` with `learning_to_rank`", {"rescore": LTR}, test=STOOD_IN),
        with_body("`runtime_mappings`", {"runtime_mappings": {"r": {"type": "keyword"}}, "fields": ["r"]}),
        with_searches("`knn` beside `query`", nested(QUERY | {"knn": KNN})),
        with_searches(
            "`knn` alone",
            nested({"knn": KNN}),
            nested({"retriever": {"knn": KNN}}),
            outcome=Reason.NO_QUERY_TEXT,
            note="rescored where the text is embedded by Elasticsearch, or given in `ext.rescore.query`",
        ),
        with_searches(
            "`knn` or `semantic` without `k`, a page after the first", nested(pages), outcome=Reason.KNN_SIZE
        ),
        with_body(
            "`rescore` that can lower scores, a `size` above its `window_size`",
            {"rescore": {"window_size": 5, "query": {"rescore_query": FOX, "score_mode": "multiply"}}},
            outcome=Reason.RESCORE_WINDOW,
        ),
        with_body(
            "`retriever`: `standard`, `rescorer`",
            {"retriever": STANDARD},
            {"retriever": {"standard": QUERY | {"min_score": 0.0001, "collapse": {"field": "tag"}}}},
            {"retriever": {"rescorer": {"rescore": RESCORE, "retriever": STANDARD}}, "size": 10},
        ),
        with_body(
            "`retriever`: `rrf`, `linear`",
            {"retriever": {"rrf": RANKED}},
            {"retriever": {"linear": {"retrievers": [{"retriever": STANDARD, "weight": 2}], "rank_window_size": 50}}},
            test=STOOD_IN,
        ),
        with_body(
            "`retriever`: `pinned`, `rule`, `text_similarity_reranker`, `diversify`, `random_reranker`",
            *(
                {"retriever": {kind: {"retriever": STANDARD, "rank_window_size": 50}}}
                for kind in ("pinned", "rule", "text_similarity_reranker", "diversify", "random_reranker")
            ),
            test=STOOD_IN,
        ),
        with_body(
            "`rank` with `sub_searches` (8.x)",
            QUERY | {"sub_searches": [QUERY], "rank": {"rrf": {"rank_window_size": 50}}},
            test=STOOD_IN,
        ),
        with_body(
            "a `size` above `rank_window_size`",
            {"retriever": {"rrf": RANKED}, "size": 60},
            outcome=Reason.RANK_WINDOW,
            test="test_stood_in.py::test_a_size_above_the_rank_window",
        ),
    )


def _answers() -> tuple[Feature, ...]:
    vectors = {"_source": {"exclude_vectors": False}}
    return (
        with_body("`_source` in all forms", *({"_source": source} for source in SOURCES)),
        with_searches(
            "`_source.exclude_vectors` (9.x)",
            Search(body=QUERY | vectors, versions=(9,)),
            Search(body=QUERY, parameters="_source_exclude_vectors=true", versions=(9,)),
        ),
        with_parameters(
            "`_source`, `_source_includes`, `_source_excludes` as parameters",
            "_source=n,tag",
            "_source=false",
            "_source_includes=n,title,tag&_source_excludes=title",
        ),
        with_parameters("`force_synthetic_source`", "force_synthetic_source=false"),
        with_body(
            "`fields`",
            {"fields": ["n"]},
            {"fields": ["*"]},
            {"fields": ["t*"], "_source": False},
            {"fields": [{"field": "n"}, "title.raw"], "_source": ["tag"]},
        ),
        with_body("`stored_fields`", {"stored_fields": ["title"]}, {"stored_fields": ["*"]}, {"stored_fields": []}),
        with_body("`stored_fields: _none_`", {"stored_fields": "_none_"}, outcome=Reason.STORED_FIELDS_NONE),
        with_body("`docvalue_fields`", {"docvalue_fields": ["n", "tag"], "_source": ["n"]}),
        with_parameters("`stored_fields`, `docvalue_fields` as parameters", "stored_fields=body&docvalue_fields=n"),
        with_body("`script_fields`", {"script_fields": {"x": {"script": "1"}}}, test=STOOD_IN),
        with_body(
            "`highlight`",
            {"highlight": {"fields": {"title": {}}}},
            {"highlight": {"pre_tags": ["<b>"], "post_tags": ["</b>"], "fields": {"*": {}}}},
        ),
        with_searches(
            "`inner_hits`",
            nested(
                {
                    "query": {
                        "nested": {
                            "path": "parts",
                            "query": {"match": {"parts.text": "fox"}},
                            "inner_hits": {"size": 1},
                        }
                    }
                }
            ),
        ),
        with_body(
            "`aggs`, `aggregations`",
            {"aggs": {"t": {"terms": {"field": "tag"}}, "h": {"top_hits": {"size": 2}}}},
            {"aggregations": {"m": {"max": {"field": "n"}}}},
            {"_source": False, "aggs": {"h": {"top_hits": {"size": 1}}}},
        ),
        with_body("`suggest`", {"suggest": {"s": {"text": "foxx", "term": {"field": "title"}}}}),
        with_parameters("`suggest_*`", "suggest_field=title&suggest_text=foxx&suggest_mode=always&suggest_size=2"),
        with_body("`explain`", {"explain": True}, {"explain": "true"}, note="`_explanation` gains a parent node"),
        with_body("`version`, `seq_no_primary_term`", {"version": True, "seq_no_primary_term": True}),
        with_body("`track_scores`", {"track_scores": True}),
        with_body("`profile`", {"profile": True}, note="that of the widened search"),
        with_body("`stats`", {"stats": ["group"]}),
        with_parameters("`rest_total_hits_as_int`", "rest_total_hits_as_int=true"),
        with_searches(
            "`typed_keys`",
            Search(body=QUERY | {"aggs": {"t": {"terms": {"field": "tag"}}}}, parameters="typed_keys=true"),
        ),
        with_parameters("`human`, `pretty`, `error_trace`", "human&pretty", "error_trace&pretty=true"),
        with_parameters(
            "`filter_path`",
            "filter_path=hits,took,_shards,timed_out",
            note="applied after rescoring",
            test="test_features.py::test_filter_path",
        ),
        with_searches(
            "`format` or `Accept`: yaml, cbor, smile",
            *(Search(body=QUERY, parameters=f"format={kind}") for kind in ("yaml", "cbor", "smile")),
            *(Search(body=QUERY, headers={"Accept": f"application/{kind}"}) for kind in ("yaml", "cbor")),
            outcome=Reason.ANSWER_FORMAT,
            test="test_features.py::test_other_answer_formats_pass",
        ),
    )


def _requests() -> tuple[Feature, ...]:
    return (
        with_parameters("`preference`, `routing`", "preference=_local", "routing=a"),
        with_parameters("`request_cache`", "request_cache=true"),
        with_parameters(
            "`ignore_unavailable`, `allow_no_indices`, `expand_wildcards`, `ignore_throttled`",
            "ignore_unavailable=true&allow_no_indices=false&expand_wildcards=open",
            "ignore_throttled=false",
        ),
        with_parameters("`allow_partial_search_results`", "allow_partial_search_results=false"),
        with_parameters(
            "`search_type`, `batched_reduce_size`, `ccs_minimize_roundtrips`, "
            "`max_concurrent_shard_requests`, `pre_filter_shard_size`",
            "search_type=dfs_query_then_fetch",
            "batched_reduce_size=2&ccs_minimize_roundtrips=false&max_concurrent_shard_requests=1"
            "&pre_filter_shard_size=1",
        ),
        with_body(
            "`pit`",
            {"pit": {"id": "opened", "keep_alive": "1m"}},
            note="see below",
            test="test_point_in_time.py::test_pages_of_a_pit_are_elasticsearchs_list_with_its_window_permuted",
        ),
        with_body(
            "`pit` with `sort`",
            {"pit": {"id": "opened"}, "sort": ["_score"]},
            outcome=Reason.SORTED,
            test="test_point_in_time.py::test_sorted_pits_pass_so_that_search_after_loses_nothing",
        ),
        with_searches(
            "`source` and `source_content_type`",
            Search(
                body=None,
                parameters="source_content_type="
                "application/json&source=%7B%22query%22:%7B%22match%22:%7B%22title%22:%22fox%22%7D%7D%7D",
            ),
        ),
        with_body(
            "`ext.rescore`",
            {"ext": {"rescore": {"window_size": 100}}},
            note="see above",
            test="test_features.py::test_the_override_in_the_source_parameter",
        ),
        with_body(
            "`ext.rescore.enabled: false`",
            {"ext": {"rescore": {"enabled": False}}},
            outcome=Reason.DISABLED,
            test="test_search.py::test_what_is_not_rescored_says_why",
        ),
        with_body(
            "`ext` of plugins",
            {"ext": {"other": {}}},
            note="kept",
            test="test_features.py::test_the_ext_of_a_plugin_is_kept",
        ),
        with_searches(
            "bodies in gzip, deflate, zstd", Search(body=QUERY), test="test_features.py::test_compressed_bodies"
        ),
        with_searches(
            "bodies in YAML, CBOR, SMILE",
            *(
                Search(body=QUERY, headers={"Content-Type": f"application/{kind}"})
                for kind in ("yaml", "cbor", "smile")
            ),
            outcome=Reason.BODY_FORMAT,
        ),
        with_searches(
            "versioned media types", Search(body=QUERY, headers={"Accept": VERSIONED, "Content-Type": VERSIONED})
        ),
    )


FEATURES = (*_lists(), *_queries(), *_answers(), *_requests())
SENT = [(feature, search) for feature in FEATURES for search in feature.searches]
"""Every request of the table, with its row."""


def link(test: str) -> str:
    """Return a Markdown link to a test of the end-to-end suite."""
    file, _, name = test.partition("::")
    return f"[{file}](../tests/end_to_end/{file}) `{name}`"


def _cells(name: str, outcome: str, note: str, test: str) -> str:
    what = outcome if outcome == RESCORED or " " in outcome else f"passed, `{outcome}`"
    return f"| {name} | {what}{'; ' + note if note else ''} | {link(test)} |"


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([f"| {head} | what happens | shown by |", "|---|---|---|", *rows, ""])


def _of_endpoint(row: Endpoint) -> str:
    return _cells(row.name, row.outcome, row.note, row.test)


def updated(document: str) -> str:
    """Return the page with both tables made current."""
    endpoints = _table("endpoint", list(map(_of_endpoint, compatibility_endpoints.ENDPOINTS)))
    rows = [_cells(feature.name, feature.outcome, feature.note, feature.test) for feature in FEATURES]
    return replaced(replaced(document, "endpoints", endpoints), "features", _table("feature", rows))


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text("utf-8")), "utf-8")
