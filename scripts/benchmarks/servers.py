"""The two servers that are measured: a real Elasticsearch, and `sidecar serve` before it, each a process."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from elasticsearch import Elasticsearch, helpers

_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def elasticsearch(given: str | None) -> Iterator[str]:
    """Yield the URL of a node: the one given, or one of our own for the length of the block."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = _ROOT / "scripts" / "elasticsearch"
        words: list[str | Path] = [script, "--background", "--port", "0", "--data", folder]
        started = subprocess.run(words, capture_output=True, text=True, check=False)
        if started.returncode:
            sys.exit(started.stderr)
        try:
            yield started.stdout.split()[-1]
        finally:
            subprocess.run([script, "--stop", folder], check=True)


@contextlib.contextmanager
def sidecar(settings: dict[str, Any]) -> Iterator[str]:
    """Run `sidecar serve` on a free port, wait until its model is ready, give its URL."""
    with process(settings, "sidecar", "serve") as (url, _):
        yield url


@contextlib.contextmanager
def process(settings: dict[str, Any], *module: str) -> Iterator[tuple[str, int]]:
    """Run a module that serves like `sidecar serve`; give its URL and the process's id."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"listen": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}, **settings}, file)
        file.flush()
        started = subprocess.Popen([sys.executable, "-m", *module, file.name], stderr=subprocess.PIPE, text=True)
        try:
            yield _ready(started), started.pid
        finally:
            started.terminate()
            started.communicate()


def _ready(process: subprocess.Popen[str]) -> str:
    url, said = "", []
    for line in process.stderr or ():
        said.append(line)
        found = re.search(r"listening on [^:]+:(\d+)", line)
        url = f"http://127.0.0.1:{found[1]}" if found else url
        if "model ready" in line:
            return url
    sys.exit("the sidecar did not start:\n" + "".join(said))


def fill(url: str, index: str, documents: list[dict[str, Any]]) -> None:
    """Make an index of one shard with these documents, merged to one segment so that searches repeat."""
    with Elasticsearch(url, request_timeout=120) as client:
        client.indices.delete(index=index, ignore_unavailable=True)
        client.indices.create(index=index, settings={"number_of_shards": 1, "number_of_replicas": 0})
        helpers.bulk(client, ({"_index": index, "_source": document} for document in documents))
        client.indices.forcemerge(index=index, max_num_segments=1)
        client.indices.refresh(index=index)


def search_body(query: str, size: int) -> bytes:
    """Return a match query on `text`."""
    return json.dumps({"size": size, "query": {"match": {"text": query}}}).encode()


def post(url: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """Send one search and give the answer's headers and body."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return dict(answer.headers.items()), answer.read()
