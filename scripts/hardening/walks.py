"""Clients walk lists page by page while load, configuration and the model's state change: no hit is lost or repeated.

`scripts/walks`: 16 clients walk 1,000 lists of 5 pages through a real sidecar before a real Elasticsearch. Meanwhile
others search as fast as they can, the configuration is changed again and again to other windows and fusions, and the
model fails at times, or is said not to be ready. Each walk is held against the node's own list. Exit 1: one is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import aiohttp
from benchmarks.servers import elasticsearch, fill
from benchmarks.texts import Texts

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.errors import BackendFailed
from sidecar.reasons import Reason
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import ScoreRequest, Scores

_INDEX = "walks"
_SIZE = 10


class Moody(Engine):
    """The engine, which at times fails or says that it loads: no real one does so when it is asked to."""

    mood = "well"
    _turn = 0

    @property
    def unready(self) -> Reason | None:
        """Whether it says that it loads."""
        return Reason.MODEL_LOADING if self.mood == "loads" else super().unready

    async def score(self, request: ScoreRequest) -> Scores:
        """Score, or fail now and then."""
        self._turn += 1
        if self.mood == "fails" and self._turn % 3 == 0:
            raise BackendFailed("the mood")
        return await super().score(request)


def configuration(url: str, model: str, **mapping: Any) -> Config:
    """Return a configuration."""
    settings = {"fields": ["text"], "window_size": 40, "min_window": 5, **mapping}
    listener = {"host": "127.0.0.1", "port": 0}
    return Config.model_validate(
        {
            "listen": listener,
            "admin": listener,
            "upstream": {"urls": [url]},
            "engine": {"model": model},
            "indices": {_INDEX: settings},
            "lists": {"ttl": "10m"},
        }
    )


_MAPPINGS: tuple[dict[str, Any], ...] = (
    {},
    {"window_size": 15, "timeout": 5.0},
    {"fusion": "rrf", "timeout": 1.0},
    {"fusion": "linear", "window_size": 25, "budget": False, "timeout": 5.0},
    {"min_window": 20, "timeout": 0.2},
)


async def page(session: aiohttp.ClientSession, url: str, query: str, start: int) -> tuple[list[str], str]:
    """Return the ids on a page, and what became of the search."""
    body = {"query": {"match": {"text": query}}, "from": start, "size": _SIZE, "_source": False}
    async with session.post(f"{url}/{_INDEX}/_search", json=body) as answer:
        found = json.loads(await answer.read())
        return [hit["_id"] for hit in found["hits"]["hits"]], answer.headers.get("X-Rescore", "")


async def walk(session: aiohttp.ClientSession, direct: str, through: str, query: str, pages: int) -> dict[str, Any]:
    """Walk a list; say how many hits were repeated or lost, and what became of its pages."""
    seen, told = [], []
    for start in range(0, pages * _SIZE, _SIZE):
        ids, header = await page(session, through, query, start)
        seen += ids
        told.append(header.partition("; model")[0])
    wanted = [id_ for start in range(0, pages * _SIZE, _SIZE) for id_ in (await page(session, direct, query, start))[0]]
    return {
        "query": query,
        "repeated": len(seen) - len(set(seen)),
        "lost": len(set(wanted) - set(seen)),
        "invented": len(set(seen) - set(wanted)),
        "told": told,
    }


@contextlib.asynccontextmanager
async def changing(sidecar: Sidecar, engine: Moody, direct: str, model: str, seed: int) -> AsyncIterator[None]:
    """Change the configuration and the model's state within the block."""

    async def change() -> None:
        random = Random(seed)
        for mapping in itertools.cycle(_MAPPINGS):
            engine.mood = random.choice(("well", "well", "well", "fails", "loads"))
            sidecar.rescorer.use(configuration(direct, model, **mapping))
            await asyncio.sleep(random.uniform(0.01, 0.2))

    task = asyncio.create_task(change())
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def loading(session: aiohttp.ClientSession, through: str, texts: Texts, clients: int) -> AsyncIterator[None]:
    """Have others search within the block, as fast as they can."""

    async def search() -> None:
        while True:
            await page(session, through, texts.words(3), 0)

    tasks = [asyncio.create_task(search()) for _ in range(clients)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def walks(
    direct: str, model: str, *, lists: int, pages: int = 5, clients: int = 16, load: int = 2, seed: int = 1
) -> Sequence[dict[str, Any]]:
    """Walk lists of an index that is there already; say what became of each."""
    texts, settings = Texts(seed=seed), configuration(direct, model)
    engine = Moody(settings.engine)
    sidecar = Sidecar(settings, engine)
    await sidecar.start()
    await sidecar.load()
    queries = iter([texts.words(2) for _ in range(lists)])
    done: list[dict[str, Any]] = []
    try:
        async with aiohttp.ClientSession() as session:

            async def client() -> None:
                for query in queries:
                    done.append(await walk(session, direct, sidecar.url, query, pages))

            async with changing(sidecar, engine, direct, model, seed), loading(session, sidecar.url, texts, load):
                await asyncio.gather(*(client() for _ in range(clients)))
    finally:
        await sidecar.close()
    return done


def prepare(direct: str, count: int = 3000) -> None:
    """Make the index that is walked."""
    texts = Texts()
    fill(direct, _INDEX, [{"text": texts.passage(20)} for _ in range(count)])


def summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what was lost, repeated and invented, and what became of all pages."""
    totals = {name: sum(each[name] for each in done) for name in ("repeated", "lost", "invented")}
    told = Counter(header.partition(";")[0] + _reason(header) for each in done for header in each["told"])
    return {"lists": len(done), **totals, "pages": dict(sorted(told.items()))}


def _reason(header: str) -> str:
    _, found, reason = header.partition("reason=")
    return f" {reason.partition(';')[0]}" if found else ""


def main(words: Sequence[str]) -> int:
    """Walk and report."""
    parser = argparse.ArgumentParser(prog="scripts/walks", description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node; default: one of its own")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--lists", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    with elasticsearch(args.elasticsearch) as direct:
        prepare(direct)
        done = asyncio.run(walks(direct, args.model, lists=args.lists, seed=args.seed))
    found = summary(done)
    print(json.dumps(found, indent=1))
    wrong = [each for each in done if each["repeated"] or each["lost"] or each["invented"]]
    for each in wrong[:5]:
        print(each)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
