"""The configuration as frozen values. Defaults live here and nowhere else.

Pure: no YAML, no clock, no files. ``loader`` turns a file into a ``Config``; ``scripts`` generate
``configs/schema.json`` from it. Durations are seconds (float) and accept Elasticsearch's time units
(``500ms``, ``2s``, ``1m``); sizes are bytes (int) and accept its byte units (``64mb``, ``1gb``).
Source of the units: Elasticsearch reference, "API conventions", time and byte size units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from sidecar.config.fusion import Fusion, fitting, told
from sidecar.config.listeners import AdminListener, Listener
from sidecar.config.section import Section
from sidecar.config.units import ByteSize, Delay, Duration
from sidecar.config.urls import BaseUrl


class Tls(Section):
    """How to speak TLS to Elasticsearch."""

    verify: bool = Field(True, description="Verify Elasticsearch's certificate and host name.")
    ca_file: str | None = Field(None, description="PEM file of the certificate authority to trust.")
    cert_file: str | None = Field(None, description="PEM client certificate.")
    key_file: str | None = Field(None, description="PEM key of the client certificate.")


DialectName = Literal["auto", "elasticsearch", "opensearch"]


class Upstream(Section):
    """The Elasticsearch cluster behind the sidecar."""

    urls: tuple[BaseUrl, ...] = Field(
        (BaseUrl("http://localhost:9200"),), min_length=1, description="Base URLs, balanced."
    )
    dialect: DialectName = Field(
        "auto", description="Whose protocol the cluster speaks; auto: what it says of itself on `GET /`."
    )
    tls: Tls = Field(default_factory=Tls, description="TLS to Elasticsearch.")
    connect_timeout: Duration = Field(5.0, description="Time to open a connection.")
    read_timeout: Duration = Field(300.0, description="Time to wait for the next byte of an answer or from a client.")
    total_timeout: Duration = Field(3600.0, description="Time for one whole upstream request.")
    max_connections: int = Field(
        256, ge=1, description="Requests under way to Elasticsearch: searches, uploads and others, each."
    )
    pool_timeout: Duration = Field(10.0, description="Time to wait when that many are under way; then a 429.")
    probe_after: Duration = Field(2.0, description="Time without an answer after which one of several URLs is probed.")
    dead_timeout: Duration = Field(
        1.0, description="Time until a URL that failed is probed; doubles with each further failure, up to 32 times."
    )
    resolve_ttl: Duration = Field(
        60.0, description="How long is kept what aliases and data streams stand for, and which fields hold text."
    )


class Model(Section):
    """One cross-encoder. Unset values are taken from the engine section."""

    model: str = Field(description="Hub id, local directory, or `bundled`.")
    revision: str | None = Field(None, description="Commit, tag or branch on the hub.")
    head: Literal["auto", "one_logit", "two_logits"] = Field("auto", description="How logits become a score.")
    max_length: int | None = Field(None, ge=8, le=8192, description="Tokens of query and document together.")


DEFAULT_MODEL = "default"
"""What requests call the engine's own model, the one of mappings without `model`."""


def _no_default(models: dict[str, Model]) -> dict[str, Model]:
    if DEFAULT_MODEL in models:
        raise ValueError(f"{DEFAULT_MODEL!r} is what requests call engine.model: choose another name")
    return models


class Engine(Section):
    """The scoring engine."""

    model: str = Field(
        "cross-encoder/ms-marco-TinyBERT-L4", description="Default model: hub id, local directory, or `bundled`."
    )
    revision: str | None = Field(None, description="Commit, tag or branch of the default model on the hub.")
    head: Literal["auto", "one_logit", "two_logits"] = Field("auto", description="How logits become a score.")
    models: Annotated[dict[str, Model], AfterValidator(_no_default)] = Field(
        default_factory=dict, description="Further models by the name that mappings and requests use."
    )
    backend: Literal["auto", "torch", "onnx"] = Field("auto", description="What runs the model.")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` (every GPU), or `cuda:N`.")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field("auto", description="Arithmetic.")
    max_length: int = Field(512, ge=8, le=8192, description="Tokens of query and document together.")
    token_budget: int | None = Field(None, ge=64, description="Tokens in a batch, padding counted; unset: measured.")
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; unset: the CPU quota.")
    max_waiting_pairs: int = Field(20_000, ge=1, description="Pairs allowed to wait before requests are refused.")
    document_cache: ByteSize = Field(64 << 20, description="Bytes of cached document encodings; 0 turns it off.")
    score_cache: ByteSize = Field(64 << 20, description="Bytes of cached scores of pairs; 0 turns it off.")
    cache_dir: str | None = Field(None, description="Where exported models are kept; unset: the user cache.")

    def fusions(self) -> dict[str | None, Fusion]:
        """Return the fusion that fits each model, by its name in ``models``; None is the default model."""
        return {None: fitting(self.model), **{name: fitting(each.model) for name, each in self.models.items()}}


class FieldSpec(Section):
    """One document field. A bare string is short for its name."""

    name: str = Field(description="Dotted path of the field.")
    label: str = Field("", description="Text put before the field's value, such as `Title: `.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Passages(Section):
    """Scores long documents by token windows instead of truncating them."""

    size: int = Field(256, ge=16, description="Document tokens in a passage.")
    stride: int = Field(192, ge=1, description="Tokens from one passage's start to the next.")
    max_count: int = Field(8, ge=1, le=256, description="Passages of one document that are scored.")
    aggregate: Literal["max", "first", "mean"] = Field("max", description="How passage scores become one.")

    @model_validator(mode="after")
    def _no_gaps(self) -> Passages:
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} is above size {self.size}: text between passages is never read")
        return self


class Overrides(Section):
    """What a request may change by `ext.rescore` or `X-Rescore-*` headers, and up to where."""

    allow: tuple[
        Literal["enabled", "query", "window_size", "timeout_ms", "model", "fusion", "fields", "explain", "min_score"],
        ...,
    ] = Field(
        ("enabled", "query", "window_size", "timeout_ms", "model", "fusion", "fields", "explain", "min_score"),
        description="Names that requests may override.",
    )
    max_window_size: int = Field(1000, ge=1, le=10_000, description="Cap of `window_size` in requests.")
    max_timeout: Duration = Field(10.0, description="Cap of `timeout_ms` in requests.")


class IndexMapping(Section):
    """How searches on one index, or all that match a pattern, are rescored."""

    fields: Annotated[
        tuple[FieldSpec, ...], BeforeValidator(lambda value: [value] if isinstance(value, str | dict) else value)
    ] = Field(min_length=1, description="Document fields, in order; one alone needs no list.")
    separator: str = Field(" ", description="Text between two fields.")
    text_from: Literal["auto", "source", "fields", "highlight", "inner_hits"] = Field(
        "auto", description="Where field texts are read from; auto: `_source`, then `fields`."
    )
    strip_html: bool = Field(False, description="Remove HTML tags and entities from texts.")
    query_paths: tuple[str, ...] = Field((), description="JSON paths of the query text in the search body.")
    query_fields: Literal["text", "all", "mapped"] = Field(
        "text",
        description="Clauses that add to the query text; text: on `fields`, and on other text fields; "
        "all: on any field; mapped: on `fields` alone.",
    )
    window_size: int = Field(100, ge=1, le=10_000, description="Hits that are rescored.")
    max_query_words: int | None = Field(
        32, ge=1, description="Words of the query that the model reads, the first ones; unset: all of them."
    )
    fusion: Fusion | None = Field(
        None,
        description="Model and first-stage scores; unset: what fits the model: linear with weight 0.5 for `bundled`, "
        "else replace.",
    )
    budget: bool = Field(True, description="Score as many of the window's best hits as there is time for; off: all.")
    min_window: int = Field(10, ge=1, description="Hits that must be scored in time, or the search is not rescored.")
    timeout: Duration = Field(0.5, description="Time from Elasticsearch's first answer to the rescored one.")
    model: str | None = Field(None, description="Name from `engine.models`; unset: the default model.")
    passages: Passages | None = Field(None, description="Score passages of long documents; unset: truncate.")
    mode: Literal["rescore", "shadow", "split"] = Field("rescore", description="Answer rescored, beside, or for some.")
    split_percent: float = Field(50.0, ge=0, le=100, description="split: share of searches that are rescored.")
    split_header: str = Field("X-Opaque-Id", description="split: the header whose hash decides.")
    search_pipeline: Literal["pass", "rescore"] = Field(
        "pass", description="Searches through OpenSearch's pipelines, which see the window instead of the page."
    )
    overrides: Overrides = Field(default_factory=Overrides, description="What requests may change.")


class Lists(Section):
    """What is kept of lists, so that all pages of one show the same order."""

    ttl: Delay = Field(60.0, description="How long a list's order is kept; 0: not at all.")
    memory: ByteSize = Field(32 << 20, description="Bytes of kept orders; those used longest ago go first.")


class Shutdown(Section):
    """How the process ends after SIGTERM or SIGINT; a second signal ends it at once."""

    delay: Delay = Field(0.0, description="Time from `/health/ready` turning to the listener closing.")
    grace_period: Duration = Field(30.0, description="Time for running requests after that; then the process exits.")


class Config(Section):
    """The whole configuration."""

    listen: Listener = Field(default_factory=Listener, description="Where clients connect.")
    admin: AdminListener = Field(default_factory=AdminListener, description="Health and metrics.")
    upstream: Upstream = Field(default_factory=Upstream, description="The Elasticsearch cluster.")
    engine: Engine = Field(default_factory=Engine, description="The scoring engine.")
    indices: dict[str, IndexMapping] = Field(default_factory=dict, description="Mappings by name or pattern.")
    workers: int | None = Field(
        None, ge=1, le=1024, description="Processes that serve clients; unset: one a core where there is a GPU, else 1."
    )
    lists: Lists = Field(default_factory=Lists, description="One order for all pages of a list.")
    shutdown: Shutdown = Field(default_factory=Shutdown, description="The end of the process.")
    on_failure: Literal["pass", "error"] = Field(
        "pass", description="When scoring fails: Elasticsearch's own answer, or a 503."
    )
    max_search_body: ByteSize = Field(2 << 20, description="Decoded search bodies above this pass through.")
    max_search_answer: ByteSize = Field(20 << 20, description="Answers above this are not rescored.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Log level.")

    def fusions_told(self) -> dict[str, str]:
        """Say which fusion holds for each mapping, and why."""
        return {name: self._fusion_told(mapping) for name, mapping in self.indices.items()}

    def _fusion_told(self, mapping: IndexMapping) -> str:
        if mapping.fusion is not None:
            return f"{told(mapping.fusion)}, as configured"
        model = self.engine.model if mapping.model is None else self.engine.models[mapping.model].model
        return f"{told(fitting(model))}, which fits {model}"

    @model_validator(mode="after")
    def _models_exist(self) -> Config:
        for name, mapping in self.indices.items():
            if mapping.model is not None and mapping.model not in self.engine.models:
                known = ", ".join(sorted(self.engine.models)) or "none"
                raise ValueError(f"indices.{name}.model: {mapping.model!r} is not in engine.models ({known})")
        return self
