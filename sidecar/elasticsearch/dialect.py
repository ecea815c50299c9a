"""What a cluster's protocol says: product header, media types, paths. Another server's dialect is another value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.elasticsearch.lenient_json import decode
from sidecar.elasticsearch.upstream import UpstreamAnswer

NO_PIPELINE: Final = "_none"
"""What a search names that goes through no search pipeline of OpenSearch."""
_PRODUCT: Final = "x-elastic-product"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The words of one kind of server.

    Attributes:
        name: what `upstream.dialect` calls it.
        product: headers by which clients know the server; they refuse answers without (elasticsearch#79684).
        versioned: the media type that carries a compatibility version.
        json_types: media types of bodies in JSON.
        other_formats: parts of the media types and `format`s of answers that are not JSON.
        render: the path that renders a search template.
        own: members of searches that the sidecar sends for itself: what an index adds to searches is not for them.
        template_status: whether the answer to a search template has a `status`, as items of an `_msearch` do.
        exclusions: whether `filter_path` excludes as Elasticsearch's does; else what is empty goes, too.
        pipelines: whether an index may send its searches through a search pipeline that they do not name.
    """

    name: str
    product: Sequence[tuple[str, str]]
    versioned: str
    json_types: frozenset[str]
    other_formats: Sequence[str]
    render: str
    own: Mapping[str, str] = field(default_factory=dict)
    template_status: bool = False
    exclusions: bool = True
    pipelines: bool = False


ELASTICSEARCH: Final = Dialect(
    name="elasticsearch",
    product=(("X-Elastic-Product", "Elasticsearch"),),
    versioned="application/vnd.elasticsearch+json",
    json_types=frozenset(
        {
            "application/json",
            "application/vnd.elasticsearch+json",
            "application/x-ndjson",
            "application/vnd.elasticsearch+x-ndjson",
            "application/*",
        }
    ),
    other_formats=("yaml", "cbor", "smile"),
    render="/_render/template",
)
OPENSEARCH: Final = Dialect(
    name="opensearch",
    product=(),
    versioned=ELASTICSEARCH.versioned,
    json_types=ELASTICSEARCH.json_types,
    other_formats=ELASTICSEARCH.other_formats,
    render=ELASTICSEARCH.render,
    own={"search_pipeline": NO_PIPELINE},
    template_status=True,
    exclusions=False,
    pipelines=True,
)
DIALECTS: Final = {dialect.name: dialect for dialect in (ELASTICSEARCH, OPENSEARCH)}


def spoken(answer: UpstreamAnswer) -> Dialect | None:
    """Return the dialect of the server that answered `GET /`, None where the answer does not tell.

    Elasticsearch names itself in a header of every answer since 7.14; OpenSearch in its distribution.
    """
    if any(name.lower() == _PRODUCT for name, _ in answer.headers):
        return ELASTICSEARCH
    try:
        version = _member(decode(answer.body), "version") if answer.status == 200 else None
    except ValueError:
        return None
    if _member(version, "number") is None:
        return None
    return OPENSEARCH if _member(version, "distribution") == OPENSEARCH.name else ELASTICSEARCH


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
