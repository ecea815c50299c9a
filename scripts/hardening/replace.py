"""Replace the sidecar again and again while clients bulk-index and search through it: no request may fail.

Each next process listens on the same port (SO_REUSEPORT) before the one before it gets its SIGTERM. At the end
Elasticsearch is asked itself: as many documents as were sent, and the same checksum over what they hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import zlib
from typing import Any

from benchmarks.servers import elasticsearch
from benchmarks.texts import Texts

from hardening.processes import Client, Serving, serve

_INDEX = "replaced"
_BULK = 250
_SEARCHERS = 2


async def replace(node: str, model: str, documents: int, clients: int, times: int, workers: int = 1) -> list[str]:
    """Index and search while the sidecar is replaced so many times; return what went wrong."""
    direct = Client(int(node.rpartition(":")[2]))
    await _create(direct)
    settings = _settings(node, model) | {"workers": workers}
    serving, codes = await serve(settings), list[int]()
    port, done = await serving.port(), asyncio.Event()
    indexing = [_Indexer(Client(port), number, documents // clients) for number in range(clients)]
    searching = [Client(port) for _ in range(_SEARCHERS)]
    tasks = [asyncio.create_task(each.run(done)) for each in indexing]
    tasks += [asyncio.create_task(_search(each, done)) for each in searching]
    for number in range(times):
        share = documents * (number + 1) // (times + 1)
        await _indexed(indexing, share)
        serving = await _replaced(serving, settings, codes)
    await _indexed(indexing, documents // clients * clients)
    done.set()
    await asyncio.gather(*tasks)
    codes.append(await serving.end())
    failures = [failure for each in (*(one.client for one in indexing), *searching) for failure in each.failures]
    failures += [f"exit codes {codes}"] if any(codes) else []
    failures += [f"a searcher was answered {each.answered} times" for each in searching if each.answered < times]
    return failures + await _compared(direct, indexing)


def _settings(node: str, model: str) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "listen": {"host": "127.0.0.1", "port": port, "reuse_port": True},
        "admin": {"port": 0},
        "upstream": {"urls": [node]},
        "engine": {"model": model},
        "indices": {_INDEX: {"fields": ["text"], "window_size": 10}},
    }


async def _create(direct: Client) -> None:
    await direct.ask("DELETE", f"/{_INDEX}?ignore_unavailable=true")
    properties = {"text": {"type": "text"}, "checksum": {"type": "long"}}
    index = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": properties}}
    await direct.ask("PUT", f"/{_INDEX}", json.dumps(index).encode())


class _Indexer:
    """Indexes its share of the documents in bulks; ids say who sent what."""

    def __init__(self, client: Client, number: int, documents: int) -> None:
        self.client = client
        self.sent = 0
        self.checksum = 0
        self.moved = asyncio.Event()
        self._number = number
        self._documents = documents
        self._texts = Texts(seed=number, vocabulary=1000)

    async def run(self, done: asyncio.Event) -> None:
        """Send all, then ask for nothing but a document of one's own until the last replacement is over."""
        while self.sent < self._documents:
            await self._bulk(min(_BULK, self._documents - self.sent))
        while not done.is_set():
            await self.client.ask("GET", f"/{_INDEX}/_doc/{self._number}-0")
            await asyncio.sleep(0.01)
        self.client.close()

    async def _bulk(self, count: int) -> None:
        lines = []
        for number in range(self.sent, self.sent + count):
            text = self._texts.words(20)
            checksum = zlib.crc32(text.encode())
            self.checksum += checksum
            lines.append(json.dumps({"create": {"_index": _INDEX, "_id": f"{self._number}-{number}"}}))
            lines.append(json.dumps({"text": text, "checksum": checksum}))
        body = "\n".join([*lines, ""]).encode()
        answer = await self.client.ask("POST", "/_bulk", body, "application/x-ndjson")
        if answer.get("errors") is not False:
            self.client.failures.append(f"a bulk of {count} was not indexed whole")
        self.sent += count
        self.moved.set()


async def _search(client: Client, done: asyncio.Event) -> None:
    texts = Texts(seed=99, vocabulary=1000)
    while not done.is_set():
        body = json.dumps({"query": {"match": {"text": texts.words(2)}}}).encode()
        await client.ask("POST", f"/{_INDEX}/_search", body)
        await asyncio.sleep(0.01)
    client.close()


async def _indexed(indexing: list[_Indexer], documents: int) -> None:
    while sum(each.sent for each in indexing) < documents:
        moved = [asyncio.ensure_future(each.moved.wait()) for each in indexing]
        await asyncio.wait(moved, return_when=asyncio.FIRST_COMPLETED)
        for each, waiting in zip(indexing, moved, strict=True):
            waiting.cancel()
            each.moved.clear()


async def _replaced(serving: Serving, settings: dict[str, Any], codes: list[int]) -> Serving:
    following = await serve(settings)
    codes.append(await serving.end())
    return following


async def _compared(direct: Client, indexing: list[_Indexer]) -> list[str]:
    await direct.ask("POST", f"/{_INDEX}/_refresh")
    body = {"size": 0, "track_total_hits": True, "aggs": {"checksum": {"sum": {"field": "checksum"}}}}
    found = await direct.ask("POST", f"/{_INDEX}/_search", json.dumps(body).encode())
    direct.close()
    held = (found["hits"]["total"]["value"], int(found["aggregations"]["checksum"]["value"]))
    sent = (sum(each.sent for each in indexing), sum(each.checksum for each in indexing))
    return [f"{failure}" for failure in direct.failures] + ([] if held == sent else [f"sent {sent}, held {held}"])


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="scripts/replace", description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    with elasticsearch(args.elasticsearch) as node:
        failures = asyncio.run(replace(node, args.model, args.documents, args.clients, args.times, args.workers))
    print("\n".join(failures[:50]) or f"{args.times} replacements, {args.documents} documents: no request failed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
