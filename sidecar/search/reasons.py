"""Every reason why a search is not rescored, in one place: header value, metric label and log field."""

from __future__ import annotations

from typing import Final

NO_MAPPING: Final = "no_mapping"
MIXED_MAPPINGS: Final = "mixed_mappings"
SIZE_0: Final = "size_0"
BEYOND_WINDOW: Final = "beyond_window"
SORTED: Final = "sorted"
SCROLL: Final = "scroll"
SEARCH_AFTER: Final = "search_after"
NO_QUERY_TEXT: Final = "no_query_text"
DISABLED: Final = "disabled"
BODY_FORMAT: Final = "body_format"
ANSWER_FORMAT: Final = "answer_format"
BAD_PARAMETERS: Final = "bad_parameters"
STORED_FIELDS_NONE: Final = "stored_fields_none"
SLICED: Final = "sliced"
UNPARSABLE: Final = "unparsable"
KNN_SIZE: Final = "knn_size"
RANK_WINDOW: Final = "rank_window"
KNN_SEARCH: Final = "knn_search"
VECTOR_TILE: Final = "vector_tile"
RANK_EVAL: Final = "rank_eval"
ROLLUP: Final = "rollup"
EQL: Final = "eql"
FLEET_SEARCH: Final = "fleet_search"
SEARCH_APPLICATION: Final = "search_application"

DESCRIPTIONS: Final = {
    NO_MAPPING: "no mapping in `indices` covers what the search names",
    MIXED_MAPPINGS: "the search spans indices with different mappings",
    SIZE_0: "no hits are asked for",
    BEYOND_WINDOW: "the page starts after the window: these hits are the list's own tail",
    SORTED: "hits are sorted by something other than descending `_score`",
    SCROLL: "scrolls read everything in index order",
    SEARCH_AFTER: "`search_after` continues a sorted list",
    NO_QUERY_TEXT: "the query holds no text a model could read",
    DISABLED: "the request turned rescoring off",
    BODY_FORMAT: "the body is declared as something other than JSON in UTF-8, or as nothing; it goes on byte for byte",
    UNPARSABLE: "the body is not strict JSON, or has a key twice; it goes on byte for byte",
    ANSWER_FORMAT: "the answer is asked for as YAML, CBOR, SMILE or text",
    BAD_PARAMETERS: "`from`, `size` or another parameter is not what it should be; Elasticsearch says so",
    STORED_FIELDS_NONE: "`stored_fields: _none_` forbids reading document texts",
    RANK_WINDOW: "`size` is above the retriever's `rank_window_size`, which Elasticsearch refuses",
    KNN_SIZE: "a `knn` or `semantic` clause without `k` finds `size` neighbours; pages after the first stay",
    SLICED: "slices are for reading everything in parallel",
    "no_hits": "the search found nothing",
    "no_document_text": "no hit of the window has text in the mapped fields",
    "model_loading": "the model is not loaded yet",
    "circuit_open": "the model failed several times in a row; it is tried again soon",
    "split_control": "`mode: split`, and this search is in the control group",
    "shadow": "`mode: shadow`: scored beside the answer, for metrics only",
    "several_reasons": "no search of an `_msearch` is rescored, and for different reasons",
    "widened_refused": "Elasticsearch refused the widened search; the original was sent",
    "unreadable_answer": "the answer could not be taken apart exactly; the original search was sent",
    "answer_too_large": "the widened answer exceeds `max_search_answer`; the original search was sent",
    "body_too_large": "the body exceeds `max_search_body`; it was streamed",
    "body_encoding": "the body's content coding is not gzip, deflate or zstd, or it is broken",
    "upstream_error": "Elasticsearch answered with an error, which is the answer",
    "bad_override": "an override is of the wrong type or name: a 400 that names it",
    "pit_open": "opening a point in time; its searches are rescored",
    "pit_unknown": "the point in time was not opened here and its hits do not tell",
    KNN_SEARCH: "the old `_knn_search` endpoint",
    VECTOR_TILE: "vector tiles hold no hits",
    RANK_EVAL: "`_rank_eval` judges Elasticsearch's own ranking",
    EQL: "EQL answers events in time order",
    FLEET_SEARCH: "Fleet's own endpoint",
    ROLLUP: "`_rollup_search` answers aggregations",
    SEARCH_APPLICATION: "search applications hide which indices they search",
    "template_failed": "the template could not be rendered; the original request was sent",
    "template_parameters": "a parameter that Elasticsearch overlooks beside a template",
    "async_unknown": "the async search was not submitted through this sidecar",
    "async_running": "the async search is not complete yet",
    # failures: the client got Elasticsearch's own answer
    "deadline": "scoring took longer than `timeout`",
    "queue_full": "too many pairs are waiting",
    "model_error": "the model raised, or its scores were unusable",
    "internal_error": "a bug of ours; the log has the details",
}
