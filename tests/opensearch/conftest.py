"""A real sidecar before a real OpenSearch of each supported major version, with a real checkpoint."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from sidecar.config.model import Config
from tests.checkpoints import make_checkpoint
from tests.end_to_end.conftest import Background, config, documents


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    outcome: str
    value: Any

    @property
    def ids(self) -> list[str]:
        """The hits' ids."""
        return [hit["_id"] for hit in self.value["hits"]["hits"]]


def ask(url: str, path: str, body: Any = None, method: str = "POST", **headers: str) -> Answer:
    """Send a request; a list is sent as lines."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in body) if isinstance(body, list) else None
    data = json.dumps(body).encode() if data is None and body is not None else data
    sent = {"Content-Type": "application/json"} if data else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url + path, data=data, headers=sent, method=method)
    try:
        with urllib.request.urlopen(request) as got:
            return _answer(got.status, got.headers, got.read())
    except HTTPError as refused:
        return _answer(refused.code, refused.headers, refused.read())


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, headers.get("X-Rescore", ""), json.loads(body) if body else None)


@pytest.fixture(scope="session", params=["3.8.0", "2.19.6"])
def node(request: pytest.FixtureRequest) -> str:
    """The URL of a node of each version, with documents in it."""
    url = str(request.getfixturevalue("opensearch_url" if request.param == "3.8.0" else "opensearch_2_url"))
    fill(url, "articles")
    return url


def fill(url: str, index: str, **settings: Any) -> None:
    """Create an index of the documents of all end-to-end tests."""
    text = {"type": "text", "fields": {"raw": {"type": "keyword"}}}
    properties = {"title": text, "body": {"type": "text"}, "n": {"type": "integer"}, "tag": {"type": "keyword"}}
    properties["odd"] = {"type": "object", "enabled": False}
    ask(url, f"/{index}", method="DELETE")
    create(url, index, {"properties": properties}, **settings)
    lines = [line for d in documents() for line in ({"index": {"_id": str(d["n"])}}, d)]
    assert ask(url, f"/{index}/_bulk?refresh=true", lines).value["errors"] is False


def create(url: str, index: str, mappings: Any, **settings: Any) -> None:
    """Create an index."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0} | settings
    made = ask(url, f"/{index}", {"mappings": mappings, "settings": settings}, "PUT")
    assert made.status == 200, made.value


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real cross-encoder."""
    return make_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def url(node: str, tiny: Path) -> Iterator[str]:
    """The URL of a sidecar that rescores `articles`, and others with the same mapping."""
    settings = config(node, tiny).model_dump()
    plain = settings["indices"]["articles"]
    settings["indices"] |= {
        "events": plain,
        "piped": plain,
        "opted-in": plain | {"search_pipeline": "rescore"},
        "joined": plain | {"fields": ["t"]},
        "queries": plain | {"fields": ["title"]},
    }
    background = Background(Config.model_validate(settings))
    yield background.start()
    background.stop()
