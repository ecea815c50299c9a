"""The demo from start to end: Elasticsearch, the sidecar, the collection, the questions, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shlex
import signal
import time
import webbrowser
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

from elasticsearch import ApiError, AsyncElasticsearch, TransportError
from rich.console import Console

from sidecar.app import Sidecar, running
from sidecar.config.model import Config
from sidecar.config.urls import split_credentials
from sidecar.demo import view
from sidecar.demo.collection import Collection
from sidecar.demo.compare import Comparison, compare, search_body, summary
from sidecar.demo.indexing import drop, index
from sidecar.demo.node import elasticsearch_node
from sidecar.elasticsearch.connection import connect

_WINDOW = 100
_PATIENCE = 60.0
_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for. ``upstream`` None: start a node of our own."""

    upstream: str | None
    api_key: str | None
    model: str
    size: int
    keep: bool


async def demo(collection: Collection, options: Options, console: Console, started: float) -> int:
    """Run the demo; return the exit code. ``started`` is the monotonic time at which the command began.

    Raises:
        SidecarError: something needed is not available.
    """
    _stop_on_signals()
    async with _upstream(options, console) as upstream:
        console.print(f"loading the model [bold]{options.model}[/] …", style="dim")
        async with running(configuration(collection, upstream, options.model)) as sidecar:
            direct, through = _client(upstream, options), _client(upstream, options, sidecar.url)
            async with direct, through, _indexed(through, collection, options, console):
                await _ask_all(direct, through, collection, options, console, started)
                if options.keep:
                    await _keep(sidecar, upstream, collection, console)
    return 0


def configuration(collection: Collection, upstream: str, model: str) -> Config:
    """Return the sidecar's configuration: free loopback ports, one mapping."""
    loopback = {"host": "127.0.0.1", "port": 0}
    return Config.model_validate(
        {
            "listen": loopback,
            "admin": loopback,
            "upstream": {"urls": [split_credentials(upstream)[0]]},
            "engine": {"model": model},
            # The slowest machine is to show what the model does; a user's search would fail open sooner.
            "indices": {collection.name: {"fields": collection.fields, "window_size": _WINDOW, "timeout": "30s"}},
        }
    )


@contextlib.asynccontextmanager
async def _upstream(options: Options, console: Console) -> AsyncIterator[str]:
    if options.upstream is not None:
        yield options.upstream
        return
    console.print("starting Elasticsearch … (the first time fetches it)", style="dim")
    async with elasticsearch_node() as url:
        yield url


def _client(upstream: str, options: Options, url: str | None = None) -> AsyncElasticsearch:
    return connect(upstream, options.api_key, _PATIENCE, through=url, retries=_RETRIES)


@contextlib.asynccontextmanager
async def _indexed(
    client: AsyncElasticsearch, collection: Collection, options: Options, console: Console
) -> AsyncIterator[None]:
    """Index the collection through the sidecar; leave nothing behind in a cluster that is not ours."""
    await drop(client, collection.name)
    try:
        with view.indexing(console) as progress:
            task = progress.add_task("indexing", total=len(collection.documents))
            await index(client, collection, lambda: progress.advance(task))
        yield
    finally:
        if options.upstream is not None:
            with contextlib.suppress(ApiError, TransportError):
                await drop(client, collection.name)


async def _ask_all(
    direct: AsyncElasticsearch,
    through: AsyncElasticsearch,
    collection: Collection,
    options: Options,
    console: Console,
    started: float,
) -> None:
    comparisons = []
    for question in collection.questions:
        comparisons.append(await ask(direct, through, question, collection, options.size))
        if len(comparisons) == 1:
            console.print(f"first result {time.monotonic() - started:.0f} s after the start\n", style="dim")
        console.print(view.side_by_side(comparisons[-1]))
    console.print(summary(comparisons), style="bold")
    console.print("Whether the order is better takes judgments: `sidecar eval` measures it on yours.", style="dim")


async def ask(
    direct: AsyncElasticsearch, through: AsyncElasticsearch, question: str, collection: Collection, size: int
) -> Comparison:
    """Ask Elasticsearch for the whole window, to know where hits come from, and the sidecar for the top."""
    window = await direct.search(index=collection.name, **search_body(question, collection, _WINDOW))
    answer = await through.search(index=collection.name, **search_body(question, collection, size))
    headers = {name.lower(): value for name, value in answer.meta.headers.items()}
    return compare(question, window["hits"]["hits"], answer["hits"]["hits"], headers, collection)


async def _keep(sidecar: Sidecar, upstream: str, collection: Collection, console: Console) -> None:
    body = json.dumps(search_body(collection.questions[0], collection, 3))
    console.print(f"\nrunning until Ctrl-C\n  the sidecar    {sidecar.url}", soft_wrap=True)
    console.print(f"  Elasticsearch  {split_credentials(upstream)[0]}", soft_wrap=True)
    question = urlencode({"index": collection.name, "query": collection.questions[0]})
    page = f"http://127.0.0.1:{sidecar.admin_port}/#{question}"
    opened = console.is_terminal and await asyncio.to_thread(webbrowser.open, page)
    console.print(f"  compare page   {page}{' (opened in your browser)' if opened else ''}", soft_wrap=True)
    console.print(f"  metrics        http://127.0.0.1:{sidecar.admin_port}/metrics", soft_wrap=True)
    target = f"{sidecar.url}/{collection.name}/_search?pretty"
    command = f"curl -is {shlex.quote(target)} -H 'content-type: application/json' -d {shlex.quote(body)}"
    console.print(f"\n{command}\n", soft_wrap=True, markup=False, highlight=False)
    logging.getLogger("sidecar").setLevel(logging.WARNING)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()  # the signal has been answered: what follows is the ordinary clean stop


def _stop_on_signals() -> None:
    """Make the first Ctrl-C or SIGTERM cancel the demo, so that everything started is stopped.

    Later ones are ignored: an impatient second Ctrl-C must not leave a node behind.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: None)
        if task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
