"""What a cluster's protocol says: product header, media types, paths. Another server's dialect is another value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The words of one kind of server.

    Attributes:
        product: headers by which clients know the server; they refuse answers without (elasticsearch#79684).
        versioned: the media type that carries a compatibility version.
        json_types: media types of bodies in JSON.
        other_formats: parts of the media types and `format`s of answers that are not JSON.
        render: the path that renders a search template.
    """

    product: Sequence[tuple[str, str]]
    versioned: str
    json_types: frozenset[str]
    other_formats: Sequence[str]
    render: str


ELASTICSEARCH: Final = Dialect(
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
