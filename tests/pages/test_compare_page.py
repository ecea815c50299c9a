"""The compare page in a real browser, before a real sidecar and a real Elasticsearch."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import Elasticsearch, helpers

from sidecar.app import Sidecar, running
from sidecar.config.listeners import AdminListener
from sidecar.config.model import Config
from sidecar.evaluation.asking.readers import qrels, queries
from sidecar.serving.judgments import Judgments
from sidecar.serving.pages import loopback
from tests.pages.browser import CHROMIUM, Page, browsing

INDEX = "articles"
ANYWHERE = "0.0.0.0"  # noqa: S104 - what the test is about
HOSTILE = "<img src=x onerror=\"document.body.dataset.pwned='1'\"> \u202etxet desrever\u202c compress a file"
TEXTS = [
    ("Copying a directory tree", "Recursively copy an entire directory tree and return the destination directory."),
    ("Compressing data with gzip", "This module provides a simple interface to compress and decompress files."),
    ("File names", "A file has a name. How a file is named, and which file is a file, is for the file system to say."),
    ("Archives", "Read and write a zip file. A file in an archive may be compressed; compress with deflate."),
    ("Opening a file", "Open a file and return a file object. The file is closed at the end of the block."),
    ("Temporary files", "Create a temporary file or directory that is deleted at the end."),
    ("Comparing files", "Compare a file with another file, byte by byte, or a directory with a directory."),
    ("Bzip2 compression", "Incremental compression of a file: compress more than once, flush at the end."),
    (HOSTILE, HOSTILE + " a file"),
    ("A very long one", "compress a file " + "and then another word " * 48_000),
]
PICTURES = os.environ.get("SIDECAR_TEST_PICTURES")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt-get install chromium)")


@pytest.fixture
async def sidecar(elasticsearch_url: str, tmp_path: Path) -> AsyncIterator[Sidecar]:
    with Elasticsearch(elasticsearch_url, request_timeout=60) as client:
        client.options(ignore_status=404).indices.delete(index=INDEX)
        client.indices.create(index=INDEX, settings={"number_of_shards": 1, "number_of_replicas": 0})
        rows = [{"_id": f"d{n}", "title": title, "body": body} for n, (title, body) in enumerate(TEXTS)]
        helpers.bulk(client, rows, index=INDEX, refresh=True)
    listener = {"host": "127.0.0.1", "port": 0}
    config = {
        "listen": listener,
        "admin": {**listener, "judgments": str(tmp_path / "judgments")},
        "upstream": {"urls": [elasticsearch_url]},
        "engine": {"model": "bundled", "backend": "onnx"},
        "indices": {INDEX: {"fields": ["title", "body"], "window_size": 50, "timeout": "30s"}},
    }
    async with running(Config.model_validate(config)) as sidecar:
        yield sidecar


async def searched(page: Page, before: int) -> None:
    await page.until(f"Number(document.body.dataset.searches) > {before}")


async def kept(page: Page, name: str) -> None:
    if PICTURES:
        await page.picture(Path(PICTURES) / f"{name}.png")


@needs_browser
async def test_a_search_is_compared_tuned_and_judged_with_keys_alone(sidecar: Sidecar) -> None:
    url = f"http://127.0.0.1:{sidecar.admin_port}/"
    async with browsing() as page:
        await page.look()
        await page.open(url)
        await page.until("document.body.dataset.ready")
        await page.press("/")
        assert await page.run("document.activeElement.id") == "query"
        await page.type("how do I compress a file")
        await page.press("Enter")
        await searched(page, 0)
        assert (await page.run("document.querySelector('#outcome').textContent")).startswith("Rescored (window=")
        assert await page.run("document.querySelector('#query-text').textContent") == "how do I compress a file"
        assert {"Elasticsearch", "model"} <= set(
            (await page.run("document.querySelector('#legend').innerText")).split()
        )
        orders = [
            await page.run(f"[...{side}.children].map((hit) => hit.dataset.name)") for side in ("before", "after")
        ]
        assert orders[0] != orders[1]
        assert sorted(orders[0]) == sorted(orders[1])
        moves = await page.run("[...after.children].map((hit) => hit.querySelector('.move').textContent)")
        for now, (name, move) in enumerate(zip(orders[1], moves, strict=True)):
            by = orders[0].index(name) - now
            assert move == ("=" if not by else f"{'▲' if by > 0 else '▼'}{abs(by)}")
        await kept(page, "compare")

        await hostile_text_is_text(page)
        await a_long_text_is_cut_where_the_model_stops(page)
        await a_knob_searches_again(page, sidecar)
        await a_judgment_is_kept(page, sidecar, orders[1][0].split()[1])
        await a_small_and_a_dark_screen(page)
        assert float(await page.run("document.body.dataset.painted")) >= 0
        assert page.errors == []


async def hostile_text_is_text(page: Page) -> None:
    assert await page.run("document.querySelectorAll('#columns img').length") == 0
    assert "<img src=x onerror" in await page.run("after.innerText")
    assert not await page.run("document.body.dataset.pwned")


async def a_long_text_is_cut_where_the_model_stops(page: Page) -> None:
    await page.run("[...after.children].find((hit) => hit.dataset.name.includes(' d9 ')).focus()")
    await page.press("Enter")
    told = await page.until("document.querySelector('#after .told')?.textContent")
    assert "of 1000016 characters" in told
    read = int(told.split("read: ")[1].split(" of")[0])
    text = await page.run("document.querySelector('#after .read .text').firstChild.textContent")
    assert len(text) == read < 10_000
    await kept(page, "compare-text")
    await page.press("Enter")
    await page.until("!document.querySelector('#after .told')")


async def a_knob_searches_again(page: Page, sidecar: Sidecar) -> None:
    done = await page.run("Number(document.body.dataset.searches)")
    await page.run("document.querySelector('#window').focus()")
    await page.run(
        "window_ = document.querySelector('#window'); window_.value = 3; "
        "window_.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    await searched(page, done)
    assert "window=3" in await page.run("document.querySelector('#outcome').textContent")
    await page.run("document.querySelector('#curl').click()")
    command = await page.until("document.body.dataset.copied")
    assert f"http://127.0.0.1:{sidecar.port}/{INDEX}/_search" in command
    assert '"window_size":3' in command
    link = await page.run("location.href")
    await page.open(link)
    await page.until("document.body.dataset.searches")
    assert "window=3" in await page.run("document.querySelector('#outcome').textContent")


async def a_judgment_is_kept(page: Page, sidecar: Sidecar, document: str) -> None:
    await page.run("document.activeElement.blur()")
    await page.until("document.querySelector('#command').textContent")
    await page.press("j", "3")
    await page.until("document.querySelector('#after .grade')?.textContent === '3'")
    await page.press("ArrowDown", "0")
    await page.until("document.querySelector('#judged').textContent === '2'")
    files = Judgments(Path(str(sidecar.config.admin.judgments)), INDEX)
    [(key, text)] = queries(files.queries_file.read_text()).items()
    assert text == "how do I compress a file"
    grades = qrels(files.qrels_file.read_text())[key]
    assert sorted(grades.values()) == [0, 3]
    await page.open(await page.run("location.href"))
    await page.until("document.querySelector('#after .grade')?.textContent === '3'")
    assert "sidecar eval --queries" in await page.run("document.querySelector('#command').textContent")


async def a_small_and_a_dark_screen(page: Page) -> None:
    await page.look(dark=True)
    await kept(page, "compare-dark")
    await page.look(375, 800)
    assert await page.run("document.documentElement.scrollWidth") <= 375
    await page.run("document.querySelector('.sides').scrollIntoView()")
    await kept(page, "compare-375")
    assert await page.run("document.querySelector('#before').offsetParent === null")
    await page.run("document.querySelector('#show-before').click()")
    assert await page.run("document.querySelector('#after').offsetParent === null")


@needs_browser
async def test_the_status_page_draws_what_the_metrics_say(sidecar: Sidecar) -> None:
    async with aiohttp.ClientSession() as session:
        query = {"query": {"match": {"body": "compress"}}}
        async with session.post(f"{sidecar.url}/{INDEX}/_search", json=query) as answer:
            assert answer.headers["X-Rescore"].startswith("reranked")
    async with browsing() as page:
        await page.look()
        await page.open(f"http://127.0.0.1:{sidecar.admin_port}/status")
        await page.until("Number(document.body.dataset.read) > 1")
        assert "reranked (articles)" in await page.run("document.querySelector('#reasons').innerText")
        assert "ready" in await page.run("document.querySelector('#state').innerText")
        assert "onnx" in await page.run("document.querySelector('#engine').innerText")
        await kept(page, "status")
        await page.look(375, 800)
        assert await page.run("document.documentElement.scrollWidth") <= 375
        assert page.errors == []


async def test_pages_are_small_and_bound_to_their_own_origin(sidecar: Sidecar) -> None:
    base = f"http://127.0.0.1:{sidecar.admin_port}"
    size = 0
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/compare.js", "/hits.js", "/common.js", "/style.css", "/status", "/status.js"):
            async with session.get(base + path) as answer:
                assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
                size += len(await answer.read())
        assert size < 100_000
        for headers, status in (
            ({"Host": "rebound.example"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 415),
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "application/json"}, 200),
        ):
            async with session.post(f"{base}/api/search?index={INDEX}", data=b"{}", headers=headers) as answer:
                assert answer.status == status, headers
        wrong: dict[str, Any] = {"index": INDEX, "query": "q", "document": "d", "grade": 9}
        async with session.put(f"{base}/api/judgments", json=wrong) as answer:
            assert (answer.status, (await answer.json())["error"]) == (
                400,
                "a grade is a whole number from 0 to 3, or null",
            )


@pytest.mark.parametrize(
    ("given", "near"), [({}, True), ({"host": "::1"}, True), ({"host": ANYWHERE}, False), ({"socket": "/s"}, True)]
)
def test_which_listeners_only_this_machine_reaches(given: dict[str, str], near: bool) -> None:
    assert loopback(AdminListener.model_validate(given)) is near


@pytest.mark.parametrize(("token", "root", "api"), [(None, 404, 404), ("a-long-secret", 200, 401)])
async def test_the_pages_are_off_or_behind_the_token_where_others_reach_them(
    token: str | None, root: int, api: int
) -> None:
    admin = {"host": ANYWHERE, "port": 0, "token": token}
    listen = {"host": "127.0.0.1", "port": 0}
    sidecar = Sidecar(Config.model_validate({"listen": listen, "admin": admin}))
    await sidecar.start()
    try:
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{sidecar.admin_port}"
            async with session.get(base + "/") as answer:
                assert answer.status == root
                if token is None:
                    assert "admin.token" in (await answer.json())["error"]
            async with session.get(base + "/api/context") as answer:
                assert answer.status == api
    finally:
        await sidecar.close()
