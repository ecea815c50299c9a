"""A sidecar in a process of its own, for what signals do. Its scorer is a stand-in that the test holds up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

SERVE = """
import asyncio, json, sys, threading
import sidecar.app as app
from sidecar.config.model import Config
from sidecar.config.reload import ConfigSource
from pathlib import Path
from tests.scorers import GivenScorer, falling

class HeldUp(GivenScorer):
    async def start(self):
        if sys.argv[3] == "hanging thread":
            threading.Thread(target=threading.Event().wait).start()
        if sys.argv[3] == "endless loading":
            await asyncio.to_thread(threading.Event().wait)
    async def close(self):
        if sys.argv[3] == "hanging loop":
            threading.Event().wait()
    async def score(self, request):
        if sys.argv[2] != "0":
            reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
            await reader.read(1)
            writer.close()
        return await super().score(request)

app.Engine = lambda config: HeldUp(falling)
source = ConfigSource(Path(sys.argv[1]), {})
sys.exit(app.serve(source.load(), source))
"""


class Process:
    """A running sidecar."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.logged: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())
        self._more = asyncio.Event()

    async def _read(self) -> None:
        assert self.child.stderr is not None
        async for line in self.child.stderr:
            self.logged.append(json.loads(line) if line.startswith(b"{") else {"message": line.decode()})
            self._more.set()
        self._more.set()

    async def says(self, message: str) -> dict[str, Any]:
        """Wait for a log line."""
        while True:
            for line in self.logged:
                if message in line["message"]:
                    return line
            assert not self._reading.done(), self.logged
            self._more.clear()
            await self._more.wait()

    async def listening(self) -> int:
        """Wait until it listens, and return the port."""
        line = await self.says("listening on ")
        return int(line["message"].rpartition(":")[2])

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        code = await self.child.wait()
        await self._reading
        return code


@contextlib.asynccontextmanager
async def served(folder: Path, *flags: str, **settings: Any) -> AsyncIterator[Process]:
    """Run `sidecar serve` as it is until the block ends."""
    file = folder / "sidecar.yaml"
    listener = {"host": "127.0.0.1", "port": 0}
    file.write_text(json.dumps({"listen": listener, "admin": listener, **settings}))
    words = [sys.executable, "-m", "sidecar", "serve", str(file), *flags]
    process = Process(await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE))
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.child.kill()
        await process.ended()


@contextlib.asynccontextmanager
async def serving(folder: Path, held_up_by: int = 0, fault: str = "", **settings: Any) -> AsyncIterator[Process]:
    """Run a sidecar until the block ends; ``held_up_by`` is a port whose connections end its scoring."""
    listener = {"host": "127.0.0.1", "port": 0}
    config = {"listen": listener, "admin": listener, "indices": {"i": {"fields": ["t"], "timeout": "60s"}}, **settings}
    file = folder / f"{len(list(folder.iterdir()))}.yaml"
    file.write_text(json.dumps(config))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, file, str(held_up_by), fault, stderr=asyncio.subprocess.PIPE
    )
    process = Process(child)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await process.ended()
