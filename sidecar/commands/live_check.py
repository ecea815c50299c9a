"""Do the mapped indices and fields exist in a live cluster, and do they hold text?

The lookups are pure; ``check`` does the requests, with the standard library, so that it needs nothing else.
Source: Elasticsearch reference, "Get mapping API", "Field data types".
"""

from __future__ import annotations

import base64
import difflib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sidecar.config.model import Config, IndexMapping, Tls
from sidecar.config.urls import redact
from sidecar.errors import ConfigError, StartupError, UpstreamError
from sidecar.http.tls import client_context

_TEXT_TYPES = frozenset(
    {
        "text",
        "match_only_text",
        "annotated_text",
        "pattern_text",
        "semantic_text",
        "search_as_you_type",
        "keyword",
        "constant_keyword",
        "icu_collation_keyword",
        "wildcard",
    }
)
_TIMEOUT_SECONDS = 10.0
_ROOT = "/"
_MAX_RESULT_WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "warning", "error"]
    text: str


def check(config: Config, url: str, api_key: str | None) -> list[Finding]:
    """Look every mapped index and field up.

    Raises:
        UpstreamError: the cluster does not answer, or refuses us.
    """
    findings = list(product(_get(url, _ROOT, api_key, config.upstream.tls)))
    for pattern, mapping in config.indices.items():
        target = f"/{quote(pattern, safe='*,')}?expand_wildcards=open"
        answer = _get(url, target, api_key, config.upstream.tls)
        findings += list(examine(pattern, mapping, answer))
    nothing = [] if config.indices else [Finding("warning", "no index is mapped: nothing would be rescored")]
    return findings + nothing


def product(answer: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Name the product and version that answered `GET /`. Pure; a cluster that says neither is not named."""
    version = (answer or {}).get("version")
    if isinstance(version, dict) and "number" in version:
        name = "OpenSearch" if version.get("distribution") == "opensearch" else "Elasticsearch"
        yield Finding("ok", f"upstream: {name} {version['number']}")


def examine(pattern: str, mapping: IndexMapping, answer: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Compare one configured pattern with the indices that it names. Pure; None: no such index."""
    if not answer:
        level: Literal["warning", "error"] = "warning" if "*" in pattern else "error"
        yield Finding(level, f"indices.{pattern}: no such index, alias or data stream")
        return
    for index, body in sorted(answer.items()):
        mappings = body.get("mappings") or {}
        yield from _window(f"indices.{pattern}: {index}", mapping, body.get("settings") or {})
        if mappings.get("_source", {}).get("enabled") is False and mapping.text_from in ("auto", "source"):
            yield Finding("warning", f"indices.{pattern}: {index}: _source is disabled, only stored fields are read")
        for spec in mapping.fields:
            yield _field(f"indices.{pattern}: {index}: {spec.name}", spec.name, mappings)


def _window(where: str, mapping: IndexMapping, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the window with what an index gives at most; an index without the setting has Elasticsearch's default."""
    most = int(settings.get("index", {}).get("max_result_window", _MAX_RESULT_WINDOW))
    if mapping.window_size > most:
        text = (
            f"{where}: window_size {mapping.window_size} is above index.max_result_window {most}: no search on it is"
            f" rescored; set window_size to {most} at most, or raise the index's setting"
        )
        yield Finding("warning", text)


def _field(where: str, name: str, mappings: Mapping[str, Any]) -> Finding:
    known = dict(flatten(mappings))
    if name in known:
        return _typed(where, name, known)
    if str(mappings.get("dynamic", "")).lower() == "false":
        return Finding("warning", f"{where}: not mapped; read from _source where documents have it")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return Finding("error", f"{where}: no such field{hint}")


def _typed(where: str, name: str, known: Mapping[str, Mapping[str, Any]]) -> Finding:
    field = known[name]
    kind = field.get("type", "object")
    if kind == "alias":
        target = str(field.get("path"))
        return Finding("warning", f"{where}: is an alias, not in _source; map {target!r} instead")
    if kind in _TEXT_TYPES:
        return Finding("ok", f"{where} ({kind})")
    return Finding("error", f"{where}: holds {kind}, not text")


def flatten(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each field's dotted path and definition: sub-objects, nested, multi-, runtime and derived fields."""
    for children in ("properties", "fields", "runtime", "derived"):
        for name, field in (mappings.get(children) or {}).items():
            yield prefix + name, field
            yield from flatten(field, f"{prefix}{name}.")


def _get(url: str, target: str, api_key: str | None, tls: Tls) -> dict[str, Any] | None:
    base, headers = _credentials(url, api_key)
    request = urllib.request.Request(base + target, headers={"Accept": "application/json", **headers})  # noqa: S310
    # No HTTP proxy of the environment: the sidecar itself goes to Elasticsearch directly.
    direct = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=_context(tls)))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        if error.code == 404 or (error.code == 403 and target == _ROOT):  # to ask who answers takes a privilege
            return None
        raise UpstreamError(f"{redact(url)} answered {error.code} to GET {target}") from error
    except urllib.error.URLError as error:
        raise UpstreamError(f"{redact(url)} does not answer: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise UpstreamError(f"{redact(url)} does not answer as Elasticsearch does: {error}") from error


def _credentials(url: str, api_key: str | None) -> tuple[str, dict[str, str]]:
    """Take the user and password out of a URL; an API key wins over them."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError([f"--upstream: {redact(url)!r} is not a URL such as https://es.example:9200"])
    base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    if api_key:
        return base, {"Authorization": f"ApiKey {api_key}"}
    if parts.username is None:
        return base, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _context(tls: Tls) -> Any:
    try:
        return client_context(tls)
    except StartupError as problem:
        raise ConfigError([str(problem)]) from problem
