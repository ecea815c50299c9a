"""A real sidecar before a real Elasticsearch, with a real checkpoint."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import Elasticsearch, helpers

from sidecar.app import Sidecar, running
from sidecar.config.model import Config
from tests.checkpoints import make_checkpoint

WORDS = [
    "fox",
    "running",
    "search",
    "engine",
    "query",
    "rank",
    "score",
    "shard",
    "index",
    "token",
    "stem",
    "merge",
    "flush",
    "lazy",
    "dog",
    "quick",
    "brown",
]


class SpeaksVersion8(Urllib3HttpNode):
    """What the client of version 9 needs to talk to a node of version 8, for tests of ours that set such nodes up."""

    def perform_request(self, *args: Any, **named: Any) -> Any:
        """Ask for answers that are compatible with version 8."""
        for name, text in (named.get("headers") or {}).items():
            named["headers"][name] = text.replace("compatible-with=9", "compatible-with=8")
        return super().perform_request(*args, **named)


def connect(url: str) -> Elasticsearch:
    """Return a client for a node of either version."""
    return Elasticsearch(url, node_class=SpeaksVersion8, request_timeout=60)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real cross-encoder."""
    return make_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def documents() -> Iterator[dict[str, Any]]:
    """Yield 300 documents that all match `fox`, their texts all different."""
    for i in range(300):
        words = [WORDS[(i * 7 + j * (i % 5 + 1)) % len(WORDS)] for j in range(3 + i % 17)]
        yield {"title": f"fox {words[0]} {i}", "body": " ".join(words), "n": i, "tag": f"t{i % 7}"}


@pytest.fixture(scope="session")
def articles(elasticsearch_url: str) -> str:
    """The name of an index with documents in it."""
    with connect(elasticsearch_url) as client:
        fill(client, "articles")
    return "articles"


def fill(client: Elasticsearch, index: str) -> None:
    """Create an index of the documents."""
    text = {"type": "text", "fields": {"raw": {"type": "keyword"}}}
    properties = {"title": text, "body": {"type": "text"}, "n": {"type": "integer"}, "tag": {"type": "keyword"}}
    properties["odd"] = {"type": "object", "enabled": False}
    client.indices.delete(index=index, ignore_unavailable=True)
    client.indices.create(
        index=index, mappings={"properties": properties}, settings={"number_of_shards": 1, "number_of_replicas": 0}
    )
    actions = ({"_index": index, "_id": str(d["n"]), "_source": d} for d in documents())
    helpers.bulk(client, actions, refresh=True)


def config(elasticsearch: str, model: Path, **mapping: Any) -> Config:
    """Return a configuration that rescores `articles`."""
    return Config.model_validate(
        {
            "listen": {"host": "127.0.0.1", "port": 0},
            "admin": {"port": 0},
            "upstream": {"urls": [elasticsearch]},
            "engine": {"model": str(model)},
            "indices": {"articles": {"fields": ["title", "body"], "timeout": "60s", **mapping}},
        }
    )


class Background:
    """A sidecar on a thread of its own, for tests with blocking clients."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.sidecar: Sidecar | None = None
        self.failure: BaseException | None = None

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with running(self._settings) as self.sidecar:
                self._started.set()
                await self._stop.wait()
        except BaseException as problem:
            self.failure = problem
            self._started.set()
            raise

    def start(self) -> str:
        """Start, and give the URL."""
        self._thread.start()
        self._started.wait()
        if self.failure is not None or self.sidecar is None:
            raise RuntimeError("the sidecar did not start") from self.failure
        return self.sidecar.url

    def stop(self) -> None:
        """Stop and wait."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="session")
def sidecar_url(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """The URL of a sidecar that rescores `articles` with a window of 100."""
    background = Background(config(elasticsearch_url, checkpoint))
    yield background.start()
    background.stop()


@pytest.fixture
def direct(elasticsearch_url: str, articles: str) -> Iterator[Elasticsearch]:
    """A client straight to Elasticsearch."""
    with connect(elasticsearch_url) as client:
        yield client


@pytest.fixture
def through(sidecar_url: str) -> Iterator[Elasticsearch]:
    """A client through the sidecar."""
    with Elasticsearch(sidecar_url) as client:
        yield client


def dumps(value: Any) -> bytes:
    """Encode a body."""
    return json.dumps(value).encode()
