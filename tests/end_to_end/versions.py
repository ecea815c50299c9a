"""The end-to-end fixtures for a node of each supported major version, for test modules that import them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.conftest import Background, config, connect, fill


@pytest.fixture(scope="module", params=[9, 8], name="elasticsearch_url")
def node_of_each_version(request: pytest.FixtureRequest) -> str:
    """The URL of a node of each supported major version."""
    return str(request.getfixturevalue("elasticsearch_url" if request.param == 9 else "elasticsearch_8_url"))


@pytest.fixture(scope="module", name="articles")
def articles_of_each_version(elasticsearch_url: str) -> str:
    """The name of an index with documents in it."""
    with connect(elasticsearch_url) as client:
        fill(client, "articles")
    return "articles"


@pytest.fixture(scope="module", name="sidecar_url")
def sidecar_before_each_version(elasticsearch_url: str, articles: str, checkpoint: Path) -> Iterator[str]:
    """The URL of a sidecar that rescores `articles` with a window of 100."""
    background = Background(config(elasticsearch_url, checkpoint))
    yield background.start()
    background.stop()


@pytest.fixture(name="direct")
def client_of_each_version(elasticsearch_url: str, articles: str) -> Iterator[Elasticsearch]:
    """A client straight to Elasticsearch."""
    with connect(elasticsearch_url) as client:
        yield client
