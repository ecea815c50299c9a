"""The sidecar under test: a process whose model can be spoiled, its log, its metrics, and signals to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hardening.faults.asking import ALL, INDEX, MAPPED_WINDOW, PROBES, Answer, ask

_ROOT = Path(__file__).parents[3]
READ_TIMEOUT, CONNECT_TIMEOUT = 1.0, 0.5


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def settings(urls: Sequence[str], model: str, timeout: float) -> dict[str, Any]:
    """Return a configuration in which each kind of request is asked anew, each text scored anew, and time is short."""
    mapping = {"fields": ["text"], "window_size": MAPPED_WINDOW, "timeout": timeout}
    times = {"read_timeout": READ_TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, "total_timeout": 5}
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": free_port()},
        "upstream": {"urls": list(urls), **times, "probe_after": 0.3, "dead_timeout": 0.2, "resolve_ttl": "1ms"},
        "engine": {
            "model": model,
            "score_cache": 0,
            "document_cache": 0,
            "threads": 1,
            "token_budget": 1024,
            "max_length": 64,
            "backend": "onnx",
        },
        "indices": {INDEX: mapping},
        "lists": {"ttl": 0},  # each probe is to meet the fault, not to be told what was settled before it
        "shutdown": {"grace_period": 20},
        "log_level": "debug",
    }


class Process:
    """A running sidecar. ``said`` is its log so far, parsed."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.config = dict(config)
        self.file = folder / "sidecar.yaml"
        self.switch = folder / "fault"
        self.said: list[dict[str, Any]] = []
        self.port = 0
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    async def start(self, *, limits: Mapping[str, int] | None = None, stderr: int | None = None) -> None:
        """Start, and return once it listens; ``stderr`` replaces the pipe that is read."""
        self.write(self.config)
        module = ("-m", "hardening.faults.inside", self.file, self.switch, json.dumps(dict(limits or {})))
        given = asyncio.subprocess.PIPE if stderr is None else stderr
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (_ROOT, _ROOT / "scripts")))}
        self._child = await asyncio.create_subprocess_exec(sys.executable, *module, stderr=given, env=found)
        if stderr is None:
            self._reading = asyncio.create_task(self._read())
            line = await self.says("listening on ")
            self.port = int(str(line["message"]).rpartition(":")[2])

    def write(self, config: Mapping[str, Any]) -> None:
        """Write the configuration file."""
        self.file.write_text(yaml.safe_dump(dict(config)), "utf-8")

    def spoil(self, fault: str) -> None:
        """Turn a fault of model or tokenizer on; an empty one turns it off."""
        beside = self.switch.with_suffix(".new")
        beside.write_text(fault)
        beside.rename(self.switch)

    async def _read(self) -> None:
        assert self._child is not None
        assert self._child.stderr is not None
        async for line in self._child.stderr:
            with contextlib.suppress(ValueError):
                text = line.decode()
                self.said.append(json.loads(text) if text.startswith("{") else {"message": text})
            self._more.set()
        self._more.set()

    async def says(self, pattern: str, start: int = 0) -> dict[str, Any]:
        """Wait for a log line after the first ``start`` ones.

        Raises:
            RuntimeError: the process ended without it.
        """
        while True:
            for line in self.said[start:]:
                if re.search(pattern, json.dumps(line)):
                    return line
            if self._reading is None or self._reading.done():
                raise RuntimeError(f"ended without saying {pattern!r}: {self.said[-5:]}")
            self._more.clear()
            await self._more.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child is not None and self._child.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self, seconds: float = 30.0) -> int | None:
        """Return the exit code, None where it still runs after that time."""
        assert self._child is not None
        try:
            code = await asyncio.wait_for(self._child.wait(), seconds)
        except TimeoutError:
            return None
        if self._reading is not None:
            await self._reading
        return code

    async def close(self) -> None:
        """End it, in order if it can."""
        self.spoil("")
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            if await self.ended(10) is None:
                self.signal(signal.SIGKILL)
        if self._child is not None:
            await self.ended()

    async def ask(self, names: Sequence[str] = ALL, patience: float = 30.0) -> list[Answer]:
        """Ask all of these at once."""
        return list(await asyncio.gather(*(ask(self.port, PROBES[name], patience) for name in names)))

    async def admin(self, path: str) -> tuple[int, str]:
        """Return status and text of a page of the admin listener, 0 where it does not answer."""
        url = f"http://127.0.0.1:{self.config['admin']['port']}{path}"
        return await asyncio.to_thread(_got, url)

    async def samples(self) -> dict[str, float]:
        """Return the metrics."""
        found = re.findall(r"(?m)^(\w+(?:\{.*\})?) ([\d.e+-]+)$", (await self.admin("/metrics"))[1])
        return {name: float(value) for name, value in found}

    async def until(self, done: Callable[[Answer], bool], name: str = "page", seconds: float = 60.0) -> bool:
        """Ask again and again until an answer is like that; say whether one was."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends and self.alive:
            if done((await self.ask([name]))[0]):
                return True
            await asyncio.sleep(0.05)
        return False

    async def scores(self, seconds: float = 60.0) -> bool:
        """Say whether searches are rescored, within some seconds, under the index's name and its alias."""
        found = [
            await self.until(lambda answer: answer.told == "reranked", name, seconds) for name in ("page", "alias")
        ]
        return all(found)


def _got(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""
