"""Query text: this search in, exactly this text out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import IndexMapping
from sidecar.rescoring.query_text import tree
from sidecar.rescoring.query_text.text import at_path
from sidecar.rescoring.query_text.text import query_text as _query_text
from sidecar.rescoring.query_text.text_fields import TextFields

ALL = IndexMapping(fields=("title", "body"))
MAPPED = IndexMapping(fields=("title", "body"), query_fields="mapped")


def query_text(
    body: Any, parameters: dict[str, str], mapping: IndexMapping, analysed: set[str] | None = None
) -> str | None:
    return _query_text(body, parameters, mapping.query_paths, TextFields(mapping, analysed))


FOX, DOG = {"match": {"title": "red fox"}}, {"match": {"body": {"query": "lazy dog"}}}

CLAUSES: list[tuple[dict[str, Any], str | None]] = [
    ({"match": {"title": "red fox"}}, "red fox"),
    ({"match": {"title": {"query": "red fox", "fuzziness": "AUTO", "boost": 2, "_name": "n"}}}, "red fox"),
    ({"match": {"field": "red fox"}}, "red fox"),
    ({"match": {"title": 12}}, "12"),
    ({"match": {"title": 1.5}}, "1.5"),
    ({"match": {"title": True}}, None),
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
    ({"query_string": {"query": "_exists_:title _id:a fox"}}, "fox"),
    ({"match": {"_id": "fox"}}, None),
    ({"match_all": {}}, None),
    ({"match": {"title": "どこで 全文検索"}}, "どこで 全文検索"),
    ({"match": {"title": " red \n\t fox "}}, "red fox"),
    ({"match": {"title": "word " * 50_000}}, " ".join(["word"] * 50_000)),
]


@pytest.mark.parametrize(("query", "expected"), CLAUSES, ids=range(len(CLAUSES)))
def test_clauses(query: dict[str, Any], expected: str | None) -> None:
    assert query_text({"query": query}, {}, ALL) == expected


TERM_LEVEL: list[tuple[dict[str, Any], str | None]] = [
    ({"term": {"title": "fox"}}, "fox"),
    ({"term": {"title": {"value": "fox", "boost": 2}}}, "fox"),
    ({"term": {"title": {"value": 7}}}, None),
    ({"term": {"tag": "fox"}}, None),
    ({"terms": {"title": ["red", "fox", 1], "boost": 2}}, "red fox"),
    ({"terms": {"title": {"index": "i", "id": "1", "path": "p"}}}, None),
    ({"terms_set": {"title": {"terms": ["red", "fox"], "minimum_should_match_field": "n"}}}, "red fox"),
    ({"prefix": {"title": {"value": "fo"}}}, "fo"),
    ({"fuzzy": {"title": {"value": "foks", "fuzziness": "AUTO"}}}, "foks"),
    ({"wildcard": {"title": {"value": "*fo?es*"}}}, "fo es"),
    ({"regexp": {"title": "fo.*"}}, None),
    ({"span_term": {"title": "fox"}}, "fox"),
    (
        {"span_near": {"clauses": [{"span_term": {"title": {"value": "red"}}}, {"span_term": {"title": "fox"}}]}},
        "red fox",
    ),
    ({"span_or": {"clauses": [{"span_term": {"title": "red"}}, {"span_term": {"tag": "fox"}}]}}, "red"),
    ({"span_not": {"include": {"span_term": {"title": "red"}}, "exclude": {"span_term": {"title": "fox"}}}}, "red"),
    ({"span_first": {"match": {"span_term": {"title": "red"}}, "end": 3}}, "red"),
    ({"span_multi": {"match": {"prefix": {"title": {"value": "re"}}}}}, "re"),
    (
        {"span_containing": {"big": {"span_term": {"title": "red"}}, "little": {"span_term": {"title": "fox"}}}},
        "red fox",
    ),
    ({"intervals": {"title": {"wildcard": {"pattern": "fo*"}}}}, "fo"),
    ({"more_like_this": {"like": [{"_index": "i", "doc": {"title": ["red", "fox"], "n": 3}}, "den"]}}, "red fox den"),
    ({"more_like_this": {"like": {"doc": {"title": "red fox"}}}}, "red fox"),
    ({"bool": {"filter": {"term": {"title": "fox"}}}}, None),
]


@pytest.mark.parametrize(("query", "expected"), TERM_LEVEL, ids=range(len(TERM_LEVEL)))
def test_term_level_clauses_on_mapped_fields_carry_words(query: dict[str, Any], expected: str | None) -> None:
    assert query_text({"query": query}, {}, ALL) == expected
    assert query_text({"query": query}, {}, ALL, {"title", "body"}) == expected


def test_terms_of_mapped_fields_that_are_not_analysed_carry_no_words() -> None:
    assert query_text({"query": {"term": {"title": "fox"}}}, {}, ALL, {"body"}) is None


FILTERS: list[tuple[str, Any]] = [
    ("user.id", "user-17"),
    ("user.id", "550e8400-e29b-41d4-a716-446655440000"),
    ("status", 404),
    ("status", "404"),
    ("price", "12.50 - 20"),
    ("ip", "10.0.0.1"),
    ("ip", "2001:db8::1"),
    ("mail", "fox@example.com"),
    ("at", "2024-05-01T10:00:00Z"),
    ("at", "2024/05/01"),
    ("sku", "AB_12 CD_13"),
]


@pytest.mark.parametrize(("field", "value"), FILTERS)
def test_ids_numbers_addresses_and_dates_are_no_text_to_rank_by(field: str, value: Any) -> None:
    query = {"match": {field: value}}
    assert query_text({"query": query}, {}, ALL) is None
    assert query_text({"query": {"bool": {"must": [query, FOX]}}}, {}, ALL) == "red fox"
    assert query_text({"query": {"query_string": {"query": f'{field}:"{value}" fox'}}}, {}, ALL) == "fox"
    assert query_text({"query": {"multi_match": {"query": value, "fields": [field, "title"]}}}, {}, ALL) is not None
    everything = IndexMapping(fields=("title",), query_fields="all")
    assert query_text({"query": query}, {}, everything) == str(value)


@pytest.mark.parametrize("text", ["red fox", "fox 17", "iPhone 12", "10 pm", "東京", "éclair", "(fox)", "fox: 12"])
def test_words_on_fields_that_are_not_mapped_are_text(text: str) -> None:
    assert query_text({"query": {"match": {"summary": text}}}, {}, ALL) == text


@pytest.mark.parametrize("text", ["404", "1984", "10.0.0.1"])
def test_numbers_on_mapped_or_all_fields_are_what_the_user_typed(text: str) -> None:
    for query in ({"match": {"title": text}}, {"multi_match": {"query": text}}, {"query_string": {"query": text}}):
        assert query_text({"query": query}, {}, ALL) == text


@pytest.mark.parametrize(
    ("field", "expected"),
    [("summary", "kim"), ("su*", "kim"), ("user", None), ("us*", None), ("gone", None), ("title", "kim")],
)
def test_known_types_decide_which_fields_hold_text(field: str, expected: str | None) -> None:
    query = {"multi_match": {"query": "kim", "fields": [field]}}
    assert query_text({"query": query}, {}, ALL, {"body", "summary"}) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([r"jet\-engine", "jet-engine"], "jet-engine"),
        ([r"jet\-engine jet-engine"], "jet-engine"),
        ([r"jet\-engine"], r"jet\-engine"),
        (["functional", "functional", "p", "p"], "functional p"),
        (["red fox", "Red  Fox", "RED FOX!"], "red fox"),
        (["fox", "quick red fox", "red"], "quick red fox"),
        (["red", "red fox", "fox den"], "red fox fox den"),
        (["30", "west 26th street", "30 west 26th street"], "30 west 26th street"),
        (["c", "c++", "c#"], "c c++ c#"),
        (["duran duran"], "duran duran"),
        (["?", "- !"], None),
        (["🦊", "fox"], "🦊 fox"),
        (["東京", "東京タワー"], "東京 東京タワー"),
    ],
)
def test_the_same_words_are_read_once(texts: list[str], expected: str | None) -> None:
    query = {"bool": {"should": [{"match": {"title": text}} for text in texts]}}
    assert query_text({"query": query}, {}, ALL) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('red fox "red fox"', "red fox"),
        ("title:(red fox) OR body:(red fox)", "red fox"),
        ("title:functional^3 body:functional title:p body:p", "functional p"),
        (r"jet\-engine jet-engine", "jet-engine"),
        ("duran duran", "duran duran"),
    ],
)
def test_the_same_words_of_a_query_string_are_read_once(query: str, expected: str) -> None:
    assert query_text({"query": {"query_string": {"query": query}}}, {}, ALL) == expected


def test_flags_of_a_simple_query_string_hold() -> None:
    clause = {"query": "red -fox | den", "flags": "OR|WHITESPACE"}
    assert query_text({"query": {"simple_query_string": clause}}, {}, ALL) == "red -fox den"


@pytest.mark.parametrize("kind", ["match_bool_prefix", "match_phrase_prefix"])
def test_a_half_typed_word_is_read(kind: str) -> None:
    assert query_text({"query": {kind: {"title": "red fo"}}}, {}, ALL) == "red fo"
    assert query_text({"query": {"multi_match": {"query": "red fo", "type": "bool_prefix"}}}, {}, ALL) == "red fo"


def test_comparisons_on_a_named_default_field_are_no_text() -> None:
    for clause in ({"default_field": "title"}, {"default_field": "title", "lenient": True}):
        assert query_text({"query": {"query_string": {"query": ">10 fox"} | clause}}, {}, ALL) is None
    assert query_text({"query": {"query_string": {"query": ">10 fox", "fields": ["title"]}}}, {}, ALL) == ">10 fox"


def test_half_a_character_is_replaced() -> None:
    query = {"query_string": {"query": r"fox \ud83e\udd8a \ud83e"}}
    assert query_text({"query": query}, {}, ALL) == "fox 🦊 \ufffd"


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


NAMES = sorted({*tree._TEXTS, *tree._WRAPPERS, *tree._COMPOUNDS, "knn", "query", "retriever"})
MEMBERS = [
    "doc",
    "clauses",
    "value",
    "flags",
    "query",
    "must",
    "should",
    "fields",
    "field",
    "like",
    "queries",
    "retrievers",
    "inference_text",
    "title",
]
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
