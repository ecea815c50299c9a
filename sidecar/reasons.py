"""Every reason why a search is not rescored, in one place: header value, metric label, log field, documentation."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason, as headers, metrics and logs have it; ``description`` is its row of the documentation."""

    description: str

    def __new__(cls, value: str, description: str = "") -> Reason:
        """Build a member of its value and its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    # what the request says
    NO_MAPPING = "no_mapping", "no mapping in `indices` covers what the search names"
    MIXED_MAPPINGS = "mixed_mappings", "the search spans indices with different mappings"
    SIZE_0 = "size_0", "no hits are asked for"
    BEYOND_WINDOW = "beyond_window", "the page starts after the window: these hits are the list's own tail"
    SORTED = "sorted", "hits are sorted by something other than descending `_score`"
    SCROLL = "scroll", "scrolls read everything in index order"
    SEARCH_AFTER = "search_after", "`search_after` continues a sorted list"
    NO_QUERY_TEXT = "no_query_text", "the query holds no text a model could read"
    DISABLED = "disabled", "the request turned rescoring off"
    BODY_FORMAT = (
        "body_format",
        "the body is declared as something other than JSON in UTF-8, or as nothing; it is forwarded byte for byte",
    )
    UNPARSABLE = "unparsable", "the body is not strict JSON, or has a key twice; it is forwarded byte for byte"
    ANSWER_FORMAT = "answer_format", "the answer is asked for as YAML, CBOR, SMILE or text"
    BAD_PARAMETERS = (
        "bad_parameters",
        "`from`, `size` or another parameter is not what it should be; Elasticsearch says so",
    )
    STORED_FIELDS_NONE = "stored_fields_none", "`stored_fields: _none_` forbids reading document texts"
    RANK_WINDOW = "rank_window", "`size` is above the retriever's `rank_window_size`, which Elasticsearch refuses"
    KNN_SIZE = (
        "knn_size",
        "a `knn` or `semantic` clause without `k` finds `size` neighbours; pages after the first stay",
    )
    RESCORE_WINDOW = (
        "rescore_window",
        "`size` is above the `window_size` of a `rescore` that can lower scores: more hits would change the order",
    )
    SEARCH_PIPELINE = (
        "search_pipeline",
        "the search goes through a search pipeline, whose processors may count on the page; see `search_pipeline`",
    )
    FILTER_PATH = (
        "filter_path",
        "`filter_path` is longer than 4096 characters, or excludes, before OpenSearch; the server alone applies it",
    )
    SLICED = "sliced", "slices are for reading everything in parallel"
    BAD_OVERRIDE = "bad_override", "an override is of the wrong type or name: a 400 that names it"
    TOO_MANY_SEARCHES = "too_many_searches", "an `_msearch` of more than 1000 searches"
    BODY_TOO_LARGE = "body_too_large", "the body exceeds `max_search_body`; it was streamed"
    BODY_ENCODING = "body_encoding", "the body's content coding is not gzip, deflate or zstd, or it is broken"
    SEVERAL_REASONS = "several_reasons", "no search of an `_msearch` is rescored, and for different reasons"
    # endpoints
    KNN_SEARCH = "knn_search", "the old `_knn_search` endpoint"
    VECTOR_TILE = "vector_tile", "vector tiles hold no hits"
    RANK_EVAL = "rank_eval", "`_rank_eval` judges Elasticsearch's own ranking"
    ROLLUP = "rollup", "`_rollup_search` answers aggregations"
    EQL = "eql", "EQL answers events in time order"
    FLEET_SEARCH = "fleet_search", "Fleet's own endpoint"
    SEARCH_APPLICATION = "search_application", "search applications hide which indices they search"
    PIT_OPEN = "pit_open", "opening a point in time; its searches are rescored"
    PIT_UNKNOWN = "pit_unknown", "the point in time holds no documents, or Elasticsearch does not say of which indices"
    TEMPLATE_FAILED = "template_failed", "the template could not be rendered; the original request was sent"
    TEMPLATE_PARAMETERS = "template_parameters", "a parameter that Elasticsearch overlooks beside a template"
    ASYNC_UNKNOWN = "async_unknown", "the async search was not submitted through this sidecar"
    ASYNC_RUNNING = "async_running", "the async search is not complete yet"
    # what the sidecar is in
    MODEL_LOADING = "model_loading", "the model is not loaded yet"
    MODEL_UNAVAILABLE = "model_unavailable", "the model could not be loaded; it is tried again, the log says why"
    CIRCUIT_OPEN = "circuit_open", "the model failed several times in a row; it is tried again soon"
    OVERLOADED = (
        "overloaded",
        "what waits for the model leaves no time to score even `min_window` hits; the answer did not wait",
    )
    REMEMBERED = "remembered", "another page of the same list was not rescored, so this one is not either"
    SPLIT_CONTROL = "split_control", "`mode: split`, and this search is in the control group"
    SHADOW = "shadow", "`mode: shadow`: scored beside the answer, for metrics only"
    BUDGET = "budget", "on a `reranked` search: only the best `window` of its hits could be scored before the deadline"
    # what Elasticsearch answered
    NO_HITS = "no_hits", "the search found nothing, or the page starts after its last hit"
    NO_DOCUMENT_TEXT = "no_document_text", "no hit of the window has text in the mapped fields"
    WIDENED_REFUSED = (
        "widened_refused",
        "Elasticsearch refused the widened search, or did not answer for the page's rest; the original was sent",
    )
    WIDENED_PARTIAL = (
        "widened_partial",
        "shards failed in the widened search, or it timed out; the original was sent",
    )
    UNREADABLE_ANSWER = (
        "unreadable_answer",
        "the answer could not be taken apart exactly; the original search was sent",
    )
    ANSWER_TOO_LARGE = (
        "answer_too_large",
        "the widened answer exceeds `max_search_answer`; the original search was sent",
    )
    UPSTREAM_ERROR = "upstream_error", "Elasticsearch answered with an error, which is the answer"
    # failures of scoring: the client got Elasticsearch's own answer
    DEADLINE = "deadline", "rescoring took longer than `timeout`"
    QUEUE_FULL = "queue_full", "too many pairs are waiting"
    MODEL_ERROR = "model_error", "the model raised, or its scores were unusable"
    SCORER_DOWN = "scorer_down", "with `workers`: the scoring process ended; it is started again"
    INTERNAL_ERROR = "internal_error", "a bug of ours; the log has the details"
    # failures to reach Elasticsearch: the client got a 502 or 504 that says why
    UPSTREAM_UNREACHABLE = "upstream_unreachable", "no connection to Elasticsearch: a 502 that says why"
    UPSTREAM_TIMEOUT = "upstream_timeout", "Elasticsearch did not answer in time: a 504"
    UPSTREAM_RESET = "upstream_reset", "Elasticsearch closed the connection before it answered: a 502"
    UPSTREAM_CUT = "upstream_cut", "Elasticsearch's answer ended before it was whole: a 502"
    UPSTREAM_BUSY = "upstream_busy", "no connection to Elasticsearch became free in `upstream.pool_timeout`: a 429"
    UPSTREAM_PROTOCOL = "upstream_protocol", "Elasticsearch's answer was not HTTP that could be read: a 502"
