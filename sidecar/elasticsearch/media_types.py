"""Whether bodies and answers are JSON, by what headers and parameters say."""

from __future__ import annotations

from sidecar.elasticsearch.dialect import ELASTICSEARCH


def json_body(content_type: str | None) -> bool:
    """Return whether a body is declared as JSON in UTF-8. Elasticsearch refuses a body without a type."""
    kind, _, rest = (content_type or "").lower().partition(";")
    charset = rest.partition("charset=")[2].partition(";")[0].strip(' "')
    return kind.strip() in ELASTICSEARCH.json_types and charset in ("", "utf-8", "utf8")


def json_answer(accept: str | None, format_: str | None) -> bool:
    """Return whether the answer comes as JSON: `format` wins over `Accept`, and lists in `Accept` are not read."""
    kind = "" if accept is None or "," in accept else accept.partition(";")[0]
    kind = (format_ or kind).lower()
    return not any(other in kind for other in ELASTICSEARCH.other_formats)
