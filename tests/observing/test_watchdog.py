"""While the proxy's event loop does not run, the admin listener answers and says so."""

from __future__ import annotations

import asyncio
import http.client
import logging
import threading
from typing import Any

import pytest

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.observing import watchdog
from sidecar.observing.watchdog import Watchdog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_stall_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watched = Watchdog(stalled=1.0, dead=10.0, clock=clock)
    watched.look()
    clock.now = 1.5
    watched.look()
    watched.look()
    assert watched.alive
    clock.now = 11.0
    assert not watched.alive
    assert watched.stats() == {"stalls_total": 1, "silent_seconds": 11.0, "longest_silence_seconds": 11.0}
    watched.beat()
    watched.look()
    assert watched.alive
    assert watched.stats() == {"stalls_total": 1, "silent_seconds": 0.0, "longest_silence_seconds": 11.0}
    stalled, again = (record.getMessage() for record in caplog.records)
    assert stalled.startswith("the event loop has not run for 1.5 s; it is at:\n")
    assert "test_a_stall_is_told_once_and_so_is_its_end" in stalled
    assert again == "the event loop runs again after 11.0 s"


def got(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


async def test_health_and_metrics_are_answered_while_the_loop_stalls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sidecar.app.Watchdog", lambda: Watchdog(stalled=0.3, dead=0.6))
    caplog.set_level(logging.ERROR, "sidecar.watchdog")
    listener = {"host": "127.0.0.1", "port": 0}
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "engine": {"model": "bundled"}}
    sidecar = Sidecar(Config.model_validate(settings))
    await sidecar.start()
    seen: list[tuple[int, str]] = []
    released = threading.Event()

    def ask() -> None:
        while not seen or seen[-1][0] != 503:
            seen.append(got(sidecar.admin_port, "/health/live"))
        while "sidecar_loop_stalls_total 1.0" not in seen[-1][1]:
            seen.append(got(sidecar.admin_port, "/metrics"))
        released.set()

    try:
        asker = threading.Thread(target=ask)
        asker.start()
        assert released.wait(60)  # the loop runs nothing meanwhile
        asker.join()
        await asyncio.sleep(2 * watchdog.BEAT)
        alive = await asyncio.to_thread(got, sidecar.admin_port, "/health/live")
    finally:
        await sidecar.close()
    assert any('"status": "stalled"' in body for _, body in seen)
    assert alive == (200, '{"status": "live"}')
    assert "the event loop has not run for" in caplog.text
    assert "released.wait" in caplog.text
