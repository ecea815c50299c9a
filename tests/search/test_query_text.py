"""Query text: this search in, exactly this text out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import IndexMapping
from sidecar.search import query_tree
from sidecar.search.query_text import at_path, query_text

ALL = IndexMapping(fields=("title", "body"))
MAPPED = IndexMapping(fields=("title", "body"), query_fields="mapped")
FOX, DOG = {"match": {"title": "red fox"}}, {"match": {"body": {"query": "lazy dog"}}}

CLAUSES: list[tuple[dict[str, Any], str | None]] = [
    ({"match": {"title": "red fox"}}, "red fox"),
    ({"match": {"title": {"query": "red fox", "fuzziness": "AUTO", "boost": 2, "_name": "n"}}}, "red fox"),
    ({"match": {"field": "red fox"}}, "red fox"),
    ({"match": {"n": 12}}, "12"),
    ({"match": {"n": 1.5}}, "1.5"),
    ({"match": {"n": True}}, None),
    ({"match_phrase": {"title": "red fox"}}, "red fox"),
    ({"match_phrase": {"title": {"query": "red fox", "slop": 1}}}, "red fox"),
    ({"match_phrase_prefix": {"title": {"query": "red fo"}}}, "red fo"),
    ({"match_bool_prefix": {"title": "red fo"}}, "red fo"),
    ({"multi_match": {"query": "red fox", "fields": ["title^3", "body"], "type": "best_fields"}}, "red fox"),
    ({"combined_fields": {"query": "red fox", "fields": ["title"]}}, "red fox"),
    ({"query_string": {"query": "title:(red fox) -dog^2", "default_field": "body"}}, "red fox"),
    ({"query_string": {"query": 7}}, "7"),
    ({"simple_query_string": {"query": '"red fox" | den -dog', "fields": ["body"]}}, "red fox den"),
    (
        {
            "intervals": {
                "title": {
                    "all_of": {
                        "ordered": True,
                        "intervals": [
                            {
                                "match": {
                                    "query": "my favorite food",
                                    "filter": {"containing": {"match": {"query": "x"}}},
                                }
                            },
                            {
                                "any_of": {
                                    "intervals": [{"match": {"query": "hot water"}}, {"prefix": {"prefix": "sou"}}]
                                }
                            },
                            {"fuzzy": {"term": "porridge"}},
                        ],
                    }
                }
            }
        },
        "my favorite food hot water sou porridge",
    ),
    ({"bool": {"must": FOX, "should": [DOG], "must_not": {"match": {"a": "no"}}, "filter": [FOX]}}, "red fox lazy dog"),
    ({"bool": {"should": [DOG, DOG], "must": [FOX]}}, "lazy dog red fox"),
    ({"bool": {"filter": [FOX], "must_not": [DOG]}}, None),
    ({"dis_max": {"queries": [FOX, DOG], "tie_breaker": 0.7}}, "red fox lazy dog"),
    ({"boosting": {"positive": FOX, "negative": DOG, "negative_boost": 0.5}}, "red fox"),
    ({"constant_score": {"filter": FOX, "boost": 2}}, "red fox"),
    ({"function_score": {"query": FOX, "functions": [{"filter": DOG, "weight": 2}]}}, "red fox"),
    ({"script_score": {"query": FOX, "script": {"source": "1"}}}, "red fox"),
    ({"nested": {"path": "c", "query": {"match": {"c.t": "red fox"}}, "inner_hits": {}}}, "red fox"),
    ({"has_child": {"type": "c", "query": FOX}}, "red fox"),
    ({"has_parent": {"parent_type": "p", "query": FOX}}, "red fox"),
    ({"pinned": {"ids": ["1"], "organic": FOX}}, "red fox"),
    ({"rule": {"organic": FOX, "ruleset_ids": ["r"], "match_criteria": {"query_string": "x"}}}, "red fox"),
    ({"more_like_this": {"fields": ["title"], "like": "red fox"}}, "red fox"),
    ({"more_like_this": {"like": ["red fox", {"_index": "a", "_id": "1"}, "den"], "unlike": "dog"}}, "red fox den"),
    ({"semantic": {"field": "title", "query": "red fox"}}, "red fox"),
    ({"sparse_vector": {"field": "v", "inference_id": "i", "query": "red fox"}}, "red fox"),
    ({"sparse_vector": {"field": "v", "query_vector": {"a": 1}}}, None),
    ({"text_expansion": {"v": {"model_id": "m", "model_text": "red fox"}}}, "red fox"),
    (
        {"knn": {"field": "v", "query_vector_builder": {"text_embedding": {"model_id": "m", "model_text": "red fox"}}}},
        "red fox",
    ),
    ({"knn": {"field": "v", "query_vector": [1, 2]}}, None),
    ({"wrapper": {"query": "eyJtYXRjaCI6eyJ0aXRsZSI6InJlZCBmb3gifX0="}}, "red fox"),
    ({"wrapper": {"query": "!"}}, None),
    ({"term": {"title.keyword": "red fox"}}, None),
    ({"match_all": {}}, None),
    ({"match": {"title": "どこで 全文検索"}}, "どこで 全文検索"),
    ({"match": {"title": " red \n\t fox "}}, "red fox"),
    ({"match": {"title": "word " * 50_000}}, " ".join(["word"] * 50_000)),
]


@pytest.mark.parametrize(("query", "expected"), CLAUSES, ids=range(len(CLAUSES)))
def test_clauses(query: dict[str, Any], expected: str | None) -> None:
    assert query_text({"query": query}, {}, ALL) == expected


STANDARD = {"standard": {"query": FOX, "filter": DOG}}
KNN = {"knn": {"field": "v", "k": 5, "query_vector_builder": {"text_embedding": {"model_text": "swift animal"}}}}


@pytest.mark.parametrize(
    ("retriever", "expected"),
    [
        (STANDARD, "red fox"),
        (KNN, "swift animal"),
        ({"rrf": {"retrievers": [STANDARD, KNN], "filter": DOG}}, "red fox swift animal"),
        ({"rrf": {"retrievers": [{"retriever": STANDARD, "weight": 2}, {"retriever": KNN}]}}, "red fox swift animal"),
        ({"rrf": {"query": "red fox", "fields": ["title", "body"]}}, "red fox"),
        ({"linear": {"retrievers": [{"retriever": STANDARD, "weight": 2}, KNN]}}, "red fox swift animal"),
        ({"linear": {"query": "red fox", "fields": ["title^2"], "normalizer": "minmax"}}, "red fox"),
        ({"rescorer": {"retriever": STANDARD, "rescore": {"query": {"rescore_query": DOG}}}}, "red fox"),
        (
            {"text_similarity_reranker": {"retriever": STANDARD, "inference_text": "which fox?", "field": "b"}},
            "which fox?",
        ),
        ({"text_similarity_reranker": {"retriever": STANDARD}}, "red fox"),
        ({"rule": {"retriever": STANDARD, "match_criteria": {"q": "x"}}}, "red fox"),
        ({"pinned": {"retriever": STANDARD, "ids": ["1"]}}, "red fox"),
        ({"diversify": {"type": "mmr", "retriever": {"rrf": {"retrievers": [STANDARD]}}}}, "red fox"),
        ({"random_reranker": {"retriever": STANDARD}}, "red fox"),
    ],
)
def test_retrievers(retriever: dict[str, Any], expected: str) -> None:
    assert query_text({"retriever": retriever}, {}, ALL) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"bool": {"should": [{"match": {"title": "a"}}, {"match": {"tag": "b"}}]}}, "a"),
        ({"match": {"title.en": "a"}}, "a"),
        ({"match_phrase": {"tag": {"query": "a"}}}, None),
        ({"multi_match": {"query": "a", "fields": ["tag", "ti*^2"]}}, "a"),
        ({"multi_match": {"query": "a", "fields": "tag"}}, None),
        ({"multi_match": {"query": "a"}}, "a"),
        ({"multi_match": {"query": "a", "fields": ["*_en", "tag"]}}, None),
        ({"query_string": {"query": "a title:b tag:c"}}, "a b"),
        ({"query_string": {"query": "a title:b tag:c", "fields": ["tag"]}}, "b"),
        ({"query_string": {"query": "a body:b", "default_field": "tag"}}, "b"),
        ({"simple_query_string": {"query": "a", "fields": ["tag"]}}, None),
        ({"intervals": {"tag": {"match": {"query": "a"}}}}, None),
        ({"more_like_this": {"fields": ["tag"], "like": "a"}}, None),
        ({"semantic": {"field": "tag", "query": "a"}}, None),
    ],
)
def test_only_mapped_fields(query: dict[str, Any], expected: str | None) -> None:
    assert query_text({"query": query}, {}, MAPPED) == expected


def test_a_mapped_multi_field_is_its_parent_too() -> None:
    mapping = IndexMapping(fields=("title.raw",), query_fields="mapped")
    assert query_text({"query": FOX}, {}, mapping) == "red fox"


@pytest.mark.parametrize(
    ("parameters", "body", "expected"),
    [
        ({"q": "title:fox -dog"}, None, "fox"),
        ({"q": "fox"}, {"size": 1}, "fox"),
        ({"q": "fox"}, {"query": DOG}, "fox"),
        ({"q": "fox"}, {"query": DOG, "knn": KNN["knn"]}, "swift animal"),
        ({"q": "fox", "df": "tag"}, None, None),
        ({"q": "fox title:den", "df": "tag"}, None, "den"),
        ({"q": "fox", "df": "title"}, None, "fox"),
        ({}, None, None),
        ({}, [], None),
    ],
)
def test_parameters(parameters: dict[str, str], body: Any, expected: str | None) -> None:
    assert query_text(body, parameters, MAPPED) == expected


def test_query_and_knn_are_joined() -> None:
    assert query_text({"knn": [KNN["knn"]], "query": FOX}, {}, ALL) == "red fox swift animal"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("query.bool.must[0].match.title", ["red fox"]),
        ("$.query.bool.must[0].match.title", ["red fox"]),
        ("query.bool.must[*].match.*", ["red fox", "den"]),
        ("query.bool.must.match.title", ["red fox", "den"]),
        ("$['query']", []),
        ("params.terms", ["a", "b"]),
        ("params.terms[1]", ["b"]),
        ("params.terms[9]", []),
        ("nope.at.all", []),
        ("", []),
    ],
)
def test_json_paths(path: str, expected: list[str]) -> None:
    body = {
        "query": {"bool": {"must": [{"match": {"title": "red fox"}}, {"match": {"title": "den"}}]}},
        "params": {"terms": ["a", "b", 3]},
    }
    assert list(at_path(body, path)) == expected


def test_paths_come_before_the_walker() -> None:
    mapping = IndexMapping(fields=("title",), query_paths=("missing", "ext.user.text"))
    assert query_text({"query": FOX, "ext": {"user": {"text": "which fox?"}}}, {}, mapping) == "which fox?"
    assert query_text({"query": FOX}, {}, mapping) == "red fox"


def test_depth_is_bounded() -> None:
    query: Any = FOX
    for _ in range(30):
        query = {"bool": {"must": [query]}}
    assert query_text({"query": query}, {}, ALL) == "red fox"
    for _ in range(5000):
        query = {"bool": {"must": [query]}}
    assert query_text({"query": query}, {}, ALL) is None


NAMES = sorted({*query_tree._TEXTS, *query_tree._WRAPPERS, *query_tree._COMPOUNDS, "knn", "query", "retriever"})
MEMBERS = ["query", "must", "should", "fields", "field", "like", "queries", "retrievers", "inference_text", "title"]
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES + MEMBERS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(TREES, st.dictionaries(st.sampled_from(["q", "df"]), st.text(max_size=9)), st.sampled_from([ALL, MAPPED]))
def test_any_json_is_walked(tree: Any, parameters: dict[str, str], mapping: IndexMapping) -> None:
    for body in (tree, {"query": tree}, {"retriever": tree, "knn": tree}):
        found = query_text(body, parameters, mapping)
        assert found is None or found == " ".join(found.split()) != ""


@given(TREES, st.text(alphabet="ab.[]*0$", max_size=9))
def test_any_path_is_followed(tree: Any, path: str) -> None:
    assert all(isinstance(found, str) for found in at_path(tree, path))
