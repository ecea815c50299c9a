"""Large, compressed and abandoned requests through the sidecar to a real node. Traps 1, 2, 10 and 13."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from elasticsearch import Elasticsearch

from tests.end_to_end.test_search import raw

# A sidecar in a process of its own, its model not loaded: what is measured is the proxy's memory.
_ALONE = """
import asyncio, sys
from sidecar.app import Sidecar
from sidecar.config.model import Config

async def main():
    listener = {"host": "127.0.0.1", "port": 0}
    sidecar = Sidecar(Config.model_validate(
        {"listen": listener, "admin": listener, "upstream": {"urls": [sys.argv[1]]}, "engine": {"model": "bundled"}}))
    await sidecar.start()
    print(sidecar.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await sidecar.close()

asyncio.run(main())
"""
_DOCUMENT = b'{"blob":"' + b"x" * (1 << 20) + b'"}\n'


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[tuple[str, int]]:
    """The URL and process id of a sidecar of its own."""
    command = [sys.executable, "-c", _ALONE, elasticsearch_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process.pid
        process.communicate("", timeout=60)


@pytest.fixture
def blobs(elasticsearch_url: str) -> Iterator[str]:
    """An index that keeps its documents and indexes nothing of them."""
    with Elasticsearch(elasticsearch_url, request_timeout=60) as client:
        client.indices.create(index="blobs", mappings={"enabled": False}, settings={"number_of_replicas": 0})
        yield "blobs"
        client.indices.delete(index="blobs")


def _bulk(megabytes: int) -> Iterator[bytes]:
    for i in range(megabytes):
        yield b'{"index":{"_id":"%d"}}\n' % i
        yield _DOCUMENT


def _peak_memory(pid: int) -> int:
    """The highest resident memory of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_bulk_of_90_mb_streams_through_in_bounded_memory(proxy: tuple[str, int], blobs: str) -> None:
    url, pid = proxy
    raw(url, "/_cat/health")
    before = _peak_memory(pid)
    length = sum(map(len, _bulk(90)))
    assert length > 90 << 20
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    headers = {"Content-Type": "application/x-ndjson", "Content-Length": str(length)}
    connection.request("POST", f"/{blobs}/_bulk?refresh=true&filter_path=errors,items.index.status", _bulk(90), headers)
    answer = json.load(connection.getresponse())
    connection.close()
    assert answer == {"errors": False, "items": [{"index": {"status": 201}}] * 90}
    assert _peak_memory(pid) - before < 32 << 20
    # 90 MB come back, too, and no faster than they are read
    connection.request("GET", f"/{blobs}/_search?size=90&filter_path=hits.hits._source")
    got = connection.getresponse()
    assert sum(len(piece) for piece in iter(lambda: got.read(1 << 16), b"")) > 90 << 20
    connection.close()
    assert _peak_memory(pid) - before < 32 << 20


@pytest.mark.parametrize("target", ["/_bulk", "/blobs/_search"])
def test_a_body_above_elasticsearchs_limit_gets_elasticsearchs_413_before_it_came(
    proxy: tuple[str, int], target: str
) -> None:
    with closing(http.client.HTTPConnection(urlsplit(proxy[0]).netloc, timeout=60)) as connection:
        connection.putrequest("POST", target)
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Content-Length", str(101 << 20))
        connection.endheaders(b'{"index":{"_index":"blobs"}}\n')
        assert connection.getresponse().status == 413


def test_a_gzip_bulk_is_indexed(sidecar_url: str, elasticsearch_url: str) -> None:
    body = gzip.compress(b'{"index":{"_id":"1"}}\n{"t":"compressed"}\n')
    status, _, answer = raw(sidecar_url, "/zipped/_bulk?refresh=true", body, Content_Encoding="gzip")
    with Elasticsearch(elasticsearch_url) as client:
        found = client.get(index="zipped", id="1")["_source"]
        client.indices.delete(index="zipped")
    assert (status, json.loads(answer)["errors"], found) == (200, False, {"t": "compressed"})


def test_a_client_that_goes_away_cancels_its_task_in_elasticsearch(sidecar_url: str, elasticsearch_url: str) -> None:
    def cancelled() -> list[bool]:
        path = "/_tasks?actions=cluster:monitor/health&detailed=true"
        nodes = json.loads(raw(elasticsearch_url, path)[2])["nodes"]
        tasks = [task for node in nodes.values() for task in node["tasks"].values()]
        return [task["cancelled"] for task in tasks if task["headers"].get("X-Opaque-Id") == "waits"]

    with socket.create_connection(("127.0.0.1", int(sidecar_url.rpartition(":")[2]))) as connection:
        path = "/_cluster/health?wait_for_nodes=99&timeout=60s"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nX-Opaque-Id: waits\r\n\r\n".encode())
        while cancelled() != [False]:
            pass
    while cancelled() == [False]:
        pass
    assert cancelled() == [True]
