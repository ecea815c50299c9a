"""`workers`: real processes before a real Elasticsearch, real signals, and the deaths of each kind of process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.checkpoints import make_checkpoint
from tests.end_to_end.conftest import connect, fill
from tests.http.conftest import Recorder, lines, recording, request, say
from tests.processes import Process, served
from tests.test_reasons import FOUND, MATCH, Scripted, answered, free_port
from tests.test_shutdown import Waits, exchanges, status

BODY = json.dumps({"size": 5, "query": {"match": {"title": "fox"}}}).encode()
SEARCH = request("/articles/_search", "Content-Type: application/json", method="POST", body=BODY)
MAPPING = {"fields": ["title", "body"], "timeout": "60s"}


def settings(node: str, folder: Path, **more: Any) -> dict[str, Any]:
    model = folder / "tiny"
    make_checkpoint(model)
    admin = {"host": "127.0.0.1", "port": free_port()}
    engine = {"model": str(model), "cache_dir": str(folder), "backend": "onnx"}
    return {"workers": 2, "admin": admin, "engine": engine, "upstream": {"urls": [node]}, **more}


def rescored(answer: bytes) -> bytes:
    """What the answer says of rescoring."""
    return next(line for line in lines(answer) if line.startswith(b"X-Rescore: ")).removeprefix(b"X-Rescore: ")


def ids(answer: bytes) -> list[str]:
    """The hits of an answer."""
    body = answer.partition(b"\r\n\r\n")[2]
    return [hit["_id"] for hit in json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["hits"]["hits"]]


async def asked(port: int, path: str) -> str:
    """What the admin listener says."""
    return (await say(port, request(path))).partition(b"\r\n\r\n")[2].decode()


def counted(metrics: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(name))


async def running(admin: int) -> tuple[list[int], int]:
    """The process ids of the workers and of the scoring process."""
    info = json.loads(await asked(admin, "/info"))
    return info["workers"], info["scorer"]


class Kept:
    """A client's connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Kept:
        """Connect, and send a first request."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert await self.answers()
        return self

    async def answers(self) -> bool:
        """Send a request; return whether it was answered, or the connection is broken."""
        try:
            self._writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            head = await self._reader.readuntil(b"\r\n\r\n")
            await self._reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
        except (OSError, EOFError):
            return False
        return status(head) == b"200"

    def close(self) -> None:
        """Close it."""
        self._writer.close()


async def test_workers_share_clients_scores_metrics_reloads_and_outlive_the_death_of_each_other(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    with connect(elasticsearch_url) as client:
        fill(client, "articles")
        found = client.search(index="articles", size=5, query={"match": {"title": "fox"}})
    own = [hit["_id"] for hit in found["hits"]["hits"]]
    configured = settings(elasticsearch_url, tmp_path, indices={"articles": MAPPING}, lists={"ttl": 0})
    admin = configured["admin"]["port"]
    async with served(tmp_path, **configured) as process:
        port = await process.listening()
        await process.says("model ready")
        answers = await asyncio.gather(*(say(port, SEARCH) for _ in range(8)))
        assert {rescored(each).partition(b";")[0] for each in answers} == {b"reranked"}
        assert len({tuple(ids(each)) for each in answers}) == 1
        metrics = await asked(admin, "/metrics")
        assert counted(metrics, "sidecar_searches_total") == counted(metrics, "sidecar_proxy_requests_total") == 8
        assert counted(metrics, "sidecar_engine_requests_total") == 8
        assert counted(metrics, "sidecar_workers_running") == 2
        assert json.loads(await asked(admin, "/health/ready")) == {"status": "ready"}

        workers, scorer = await running(admin)
        kept = [await Kept(port).open() for _ in range(4)]
        os.kill(workers[0], signal.SIGKILL)
        await process.says(f"the worker process {workers[0]} ended with -9")
        assert sum([await each.answers() for each in kept]) == 2
        for each in kept:
            each.close()
        assert rescored(await say(port, SEARCH)).startswith(b"reranked")

        os.kill(scorer, signal.SIGKILL)
        await process.says(f"the scoring process {scorer} ended with -9")
        without = await say(port, SEARCH)
        assert (rescored(without), ids(without)) == (b"passed; reason=scorer_down", own)
        await process.says("the scoring process is back")
        while b"reason=scorer_down" in (again := await say(port, SEARCH)):
            continue  # each worker learns of it by itself
        assert (rescored(again).partition(b";")[0], ids(again)) == (b"reranked", ids(answers[0]))
        while (await running(admin))[0][0] == workers[0] or len(set((await running(admin))[0])) < 2:
            continue

        file = tmp_path / "sidecar.yaml"
        narrower = {"indices": {"articles": {**MAPPING, "window_size": 7}}}
        file.write_text(json.dumps({**json.loads(file.read_text()), **narrower}))
        os.kill(process.child.pid, signal.SIGHUP)
        await process.says("configuration reloaded")
        reloaded = await asyncio.gather(*(say(port, SEARCH) for _ in range(4)))
        assert {rescored(each).partition(b"; model")[0] for each in reloaded} == {b"reranked; window=7"}

        everyone = [*(await running(admin))[0], (await running(admin))[1]]
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == 0
    assert not [each for each in everyone if Path(f"/proc/{each}").exists()]


async def test_async_searches_and_pages_of_a_list_are_rescored_by_whichever_worker_is_asked(tmp_path: Path) -> None:
    """The upstream is a stand-in: the node of the tests has no such endpoint."""
    complete = answered({"id": "x", "is_running": False, "response": FOUND})
    body = json.dumps(MATCH).encode()
    submit = request("/i/_async_search", "Content-Type: application/json", method="POST", body=body)
    listed = request("/i/_search", "Content-Type: application/json", method="POST", body=body)
    async with recording(Scripted(lambda path: (complete if "async" in path else answered(FOUND))(path))) as upstream:
        configured = settings(upstream.url, tmp_path, indices={"i": {"fields": ["t"], "timeout": "60s"}})
        async with served(tmp_path, **configured) as process:
            port = await process.listening()
            await process.says("model ready")
            assert rescored(await say(port, submit)).startswith(b"reranked")
            got = await asyncio.gather(*(say(port, request("/_async_search/x")) for _ in range(4)))
            assert rescored(await say(port, listed)).startswith(b"reranked")
            os.kill((await running(configured["admin"]["port"]))[1], signal.SIGKILL)
            await process.says("the scoring process")
            got += await asyncio.gather(*(say(port, listed) for _ in range(4)))  # nothing scores, and nothing need
            process.child.terminate()
            assert await process.ended() == 0
    assert {rescored(each).partition(b";")[0] for each in got} == {b"reranked"}


@contextlib.asynccontextmanager
async def slow_request(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Process, asyncio.Task[bytes], Waits, int]]:
    """A sidecar with workers, on which a request is under way."""
    async with recording(Waits()) as upstream:
        configured = settings(upstream.url, tmp_path, **more)
        async with served(tmp_path, **configured) as process:
            port = await process.listening()
            passing = asyncio.create_task(say(port, request("/slow")))
            await upstream.slow.wait()
            yield process, passing, upstream, port
            upstream.go.set()


async def test_after_sigterm_the_workers_answer_what_runs_first(tmp_path: Path) -> None:
    async with slow_request(tmp_path, shutdown={"grace_period": "60s"}) as (process, passing, upstream, port):
        workers, scorer = await running(process_admin(tmp_path))
        for each in (*workers, scorer):  # as a service manager does that signals each process
            os.kill(each, signal.SIGTERM)
        os.kill(process.child.pid, signal.SIGTERM)
        await process.says("stopping")
        upstream.go.set()
        assert status(await passing) == b"200"
        assert await process.ended() == 0
        with contextlib.suppress(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
            raise AssertionError("somebody listens still")


async def test_a_second_signal_ends_all_processes_at_once(tmp_path: Path) -> None:
    async with slow_request(tmp_path, shutdown={"grace_period": "1h"}) as (process, passing, _, _):
        workers, scorer = await running(process_admin(tmp_path))
        os.kill(process.child.pid, signal.SIGTERM)
        await process.says("stopping")
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == -signal.SIGTERM
        assert await passing == b""
        while any(Path(f"/proc/{each}").exists() for each in (*workers, scorer)):
            await asyncio.sleep(0)


def process_admin(folder: Path) -> int:
    """The admin port of the sidecar that runs there."""
    return int(json.loads((folder / "sidecar.yaml").read_text())["admin"]["port"])


async def test_workers_are_replaced_under_load_without_one_failed_request(tmp_path: Path) -> None:
    failures: list[str] = []
    done = asyncio.Event()
    async with recording(Recorder()) as upstream, contextlib.AsyncExitStack() as stack:
        listen = {"host": "127.0.0.1", "port": free_port(), "reuse_port": True}
        configured = {**settings(upstream.url, tmp_path, listen=listen), "admin": {"port": 0}}
        process = await stack.enter_async_context(served(tmp_path, **configured))
        port = await process.listening()
        clients = [asyncio.create_task(exchanges(port, done, failures)) for _ in range(8)]
        following = await stack.enter_async_context(
            served(
                tmp_path,
                **configured,
            )
        )
        await following.listening()
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == 0
        done.set()
        counts = await asyncio.gather(*clients)
    assert failures == []
    assert sum(counts) == len(upstream.heads)
    assert min(counts) > 0


async def test_a_model_that_cannot_be_loaded_costs_rescoring_alone_unless_it_is_required(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    with connect(elasticsearch_url) as client:
        fill(client, "articles")
    configured = settings(elasticsearch_url, tmp_path, indices={"articles": MAPPING})
    configured["engine"]["model"] = str(tmp_path / "nothing")
    async with served(tmp_path, **configured) as process:
        await process.says("NOTHING IS RESCORED")
        port = await process.listening()
        while rescored(await say(port, SEARCH)) != b"passed; reason=model_unavailable":
            continue  # each worker learns of it by itself
        while json.loads(await asked(configured["admin"]["port"], "/health/ready")) != {"status": "ready"}:
            continue
    async with served(tmp_path, "--require-model", **configured) as process:
        assert await process.ended() == 3
    assert any("nothing" in line["message"] for line in process.logged)
