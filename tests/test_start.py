"""The start of the process where something is missing: real processes, a real model; the upstream is a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.checkpoints import make_checkpoint
from tests.http.conftest import recording, request, say
from tests.processes import served
from tests.test_reasons import FOUND, MATCH, free_port
from tests.test_shutdown import Waits

SEARCH = request("/i/_search", "Content-Type: application/json", method="POST", body=json.dumps(MATCH).encode())


async def test_without_its_model_it_passes_searches_through_until_the_model_is_there(tmp_path: Path) -> None:
    model = tmp_path / "model"
    admin: dict[str, Any] = {"host": "127.0.0.1", "port": free_port()}
    # ONNX Runtime, which is loaded in a moment.
    settings = {
        "admin": admin,
        "engine": {"model": str(model), "backend": "onnx"},
        "indices": {"i": {"fields": ["t"], "timeout": "60s"}},
        "lists": {"ttl": 0},  # the same search is asked again
    }
    async with (
        recording(Waits()) as upstream,
        served(tmp_path, upstream={"urls": [upstream.url]}, **settings) as process,
    ):
        port = await process.listening()
        told = await process.says("NOTHING IS RESCORED")
        passed = await say(port, SEARCH)
        ready = await say(admin["port"], request("/health/ready"))
        metrics = await say(admin["port"], request("/metrics"))
        shutil.move(make_checkpoint(tmp_path / "elsewhere"), model)
        await process.says("model ready")
        reranked = await say(port, SEARCH)
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == 0
    assert told["level"] == "error"
    assert f"engine.model '{model}' is not a directory on this machine; next try in 1 s" in told["message"]
    assert b"\r\nX-Rescore: passed; reason=model_unavailable\r\n" in passed
    assert json.loads(passed.partition(b"\r\n\r\n")[2]) == FOUND
    assert ready.startswith(b"HTTP/1.1 200 ")
    assert b"\nsidecar_engine_ready 0.0\n" in metrics
    assert b"\r\nX-Rescore: reranked; " in reranked


async def test_a_signal_while_the_model_is_waited_for_ends_the_process_in_order(tmp_path: Path) -> None:
    engine = {"model": str(tmp_path / "none")}
    admin = {"host": "127.0.0.1", "port": 0}
    async with served(tmp_path, admin=admin, engine=engine, indices={"i": {"fields": ["t"]}}) as process:
        await process.says("NOTHING IS RESCORED")
        os.kill(process.child.pid, signal.SIGTERM)
        assert await process.ended() == 0


async def test_a_configuration_that_maps_nothing_is_warned_of_at_start_and_at_reload(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"admin": {"host": "127.0.0.1", "port": 0}, "engine": {"model": "bundled"}}
    async with served(tmp_path, **settings, indices={}) as process:
        assert (await process.says("no index is mapped: every search passes through"))["level"] == "warning"
        process.logged.clear()
        os.kill(process.child.pid, signal.SIGHUP)
        assert (await process.says("no index is mapped: every search passes through"))["level"] == "warning"
