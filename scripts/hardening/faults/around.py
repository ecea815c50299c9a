"""Faults of the machine, of the configuration, and of other clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from hardening.faults.asking import ALL, INDEX, PROBES, Answer
from hardening.faults.bench import Bench, Fault, Injected, while_on
from hardening.faults.laws import Verdict
from hardening.faults.process import Process, free_port

_SOUND = frozenset({"reranked"})
_SAME = "the rescored answer"
_PIPE_SIZE = 1031  # F_SETPIPE_SZ, fcntl(2)
_ROUNDS = 12


def _reloading(content: Callable[[Process], str | None]) -> Injected:
    """Replace the configuration's content and send SIGHUP; None removes the file."""

    @contextlib.asynccontextmanager
    async def inject(_: Bench, process: Process) -> AsyncIterator[None]:
        text, start = content(process), len(process.said)
        process.file.unlink() if text is None else process.file.write_text(text, "utf-8")
        process.signal(signal.SIGHUP)
        await asyncio.wait_for(process.says("configuration (not )?reloaded", start), 10)
        try:
            yield
        finally:
            start = len(process.said)
            process.write(process.config)
            process.signal(signal.SIGHUP)
            await asyncio.wait_for(process.says("configuration reloaded", start), 10)

    return inject


def _with(**changes: Any) -> Callable[[Process], str]:
    return lambda process: yaml.safe_dump({**process.config, **changes})


def _without(key: str) -> Callable[[Process], str]:
    return lambda process: yaml.safe_dump({name: each for name, each in process.config.items() if name != key})


def _refused(name: str, content: Callable[[Process], str | None]) -> Fault:
    return Fault(
        f"the configuration is reloaded: {name}",
        "configuration",
        while_on(_reloading(content)),
        _SAME + ": the last good configuration stays",
        "`sidecar_config_failures_total`, an error that says what is wrong",
        "run `sidecar check-config`",
        _SOUND,
        "configuration not reloaded, the last good one stays",
        "sidecar_config_failures_total",
    )


@contextlib.asynccontextmanager
async def _again_and_again(_: Bench, process: Process) -> AsyncIterator[None]:
    """Reload all the time: with a wrong configuration, with the right one."""

    async def reload() -> None:
        for number in range(1 << 30):
            process.write({**process.config, "nonsense": 1} if number % 2 else process.config)
            process.signal(signal.SIGHUP)
            await asyncio.sleep(0.02)

    reloading = asyncio.create_task(reload())
    await process.says("configuration not reloaded", len(process.said))
    try:
        yield
    finally:
        reloading.cancel()
        process.write(process.config)
        process.signal(signal.SIGHUP)


_MODEL_OF_NONE = {INDEX: {"fields": ["text"], "model": "unknown"}}
CONFIGURATION = (
    _refused("it is no YAML", lambda _: "indices: ["),
    _refused("it is empty", lambda _: ""),
    _refused("it ends before `indices`", _without("indices")),
    _refused("it is gone", lambda _: None),
    _refused("it is binary", lambda _: "\0\x01\x02" * 99),
    _refused("an unknown key", _with(nonsense=1)),
    _refused("a wrong value", _with(indices={INDEX: {"fields": ["text"], "window_size": "many"}})),
    _refused("a model that is not loaded", _with(indices=_MODEL_OF_NONE)),
    Fault(
        "the configuration is reloaded: other listeners and another cluster",
        "configuration",
        while_on(_reloading(_with(upstream={"urls": ["http://127.0.0.1:1"]}, listen={"port": 1}))),
        _SAME,
        "a warning that names what needs a restart",
        "restart",
        _SOUND,
        "needs a restart: .*listen",
        "sidecar_config_reloads_total",
    ),
    Fault(
        "the configuration is reloaded: all mappings taken away on purpose (`indices: {}`)",
        "configuration",
        while_on(_reloading(_with(indices={}))),
        "Elasticsearch's own answer",
        "`passed; no_mapping`",
        "nothing",
        frozenset({"passed: no_mapping"}),
        "configuration reloaded",
        "sidecar_config_reloads_total",
    ),
    Fault(
        "the configuration is reloaded fifty times a second, every second time a wrong one",
        "configuration",
        while_on(_again_and_again, rounds=5),
        _SAME,
        "`sidecar_config_reloads_total`, `sidecar_config_failures_total`",
        "nothing",
        _SOUND,
        "configuration not reloaded",
        "sidecar_config_failures_total",
    ),
)


async def _listening(process: Process) -> None:
    """Wait for a sidecar whose log is not read."""
    process.port = int(process.config["listen"]["port"])
    while (await process.admin("/health/ready"))[0] != 200:
        if not process.alive:
            raise RuntimeError("the sidecar ended")
        await asyncio.sleep(0.05)


async def _unread(bench: Bench, descriptor: int, limits: Mapping[str, int] | None = None) -> Verdict:
    """Ask a sidecar whose log goes to a descriptor that does not take it."""
    process = bench.process(listen={"host": "127.0.0.1", "port": free_port()})
    bench.sound()
    try:
        await process.start(stderr=descriptor, limits=limits)
        await _listening(process)
        answers = [answer for _ in range(_ROUNDS) for answer in await process.ask()]
        verdict = bench.judged(answers)
        live, _ = await process.admin("/health/live")
        verdict.broken += [] if live == 200 else [f"/health/live is {live}"]
        process.signal(signal.SIGTERM)
        code = await process.ended(20)
        verdict.broken += [] if code == 0 else [f"exit code {code}"]
    finally:
        await process.close()
    return verdict


async def _pipe_full(bench: Bench, _: Fault) -> Verdict:
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(writing, _PIPE_SIZE, 4096)
    try:
        return await _unread(bench, writing)
    finally:
        os.close(reading)
        os.close(writing)


async def _pipe_closed(bench: Bench, _: Fault) -> Verdict:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return await _unread(bench, writing)
    finally:
        os.close(writing)


async def _log_file_full(bench: Bench, _: Fault) -> Verdict:
    with tempfile.NamedTemporaryFile(dir=bench.folder) as log:
        return await _unread(bench, log.fileno(), {"RLIMIT_FSIZE": 8192})


async def _no_room_for_exports(bench: Bench, fault: Fault) -> Verdict:
    """Start where no file may grow beyond 8 KB, so that no export of the model can be kept; then free the disk."""
    process = bench.process()
    process.config["engine"] = {**process.config["engine"], "cache_dir": str(process.folder / "models")}
    bench.sound()
    try:
        await process.start(limits={"RLIMIT_FSIZE": 8192})
        await process.until(lambda answer: answer.told != "passed: model_loading")
        start, before = len(process.said), await process.samples()
        answers = await process.ask()
        verdict = bench.judged(answers)
        verdict.add(await bench.told(fault, process, answers, start, before))
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        verdict.broken += [] if await process.scores() else ["not rescored once the disk has room"]
    finally:
        await process.close()
    return verdict


@contextlib.contextmanager
def _held(port: int, count: int) -> Iterator[list[Any]]:
    """Hold connections that send nothing."""
    import socket

    held = []
    for _ in range(count):
        each = socket.socket()
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", port))
        held.append(each)
    try:
        yield held
    finally:
        for each in held:
            each.close()


async def _out_of_descriptors(bench: Bench, fault: Fault) -> Verdict:
    """Open more idle connections than the process may have descriptors, and ask beside them."""
    process = bench.process()
    bench.sound()
    try:
        await process.start(limits={"RLIMIT_NOFILE": 512})
        await process.scores()
        start, before = len(process.said), await process.samples()
        with _held(process.port, 900):
            await asyncio.sleep(0.2)
            answers = await process.ask(("page", "count"), patience=10)
            verdict = bench.judged(answers, extra=2.0)
            verdict.add(await bench.told(fault, process, answers, start, before))
        verdict.broken += [] if await process.scores() else ["not rescored afterwards"]
    finally:
        await process.close()
    return verdict


@contextlib.asynccontextmanager
async def _paused(_: Bench, process: Process) -> AsyncIterator[None]:
    """Stop the sidecar's process for a moment, as a machine does that is moved or swaps."""
    process.signal(signal.SIGSTOP)

    async def go_on() -> None:
        await asyncio.sleep(0.5)
        process.signal(signal.SIGCONT)

    going = asyncio.create_task(go_on())
    yield
    await going


MACHINE = (
    Fault(
        "nobody reads the log's pipe",
        "machine",
        _pipe_full,
        _SAME,
        "`sidecar_log_lines_lost_total`, once 4096 lines wait",
        "read the pipe",
    ),
    Fault(
        "the log's reader is gone", "machine", _pipe_closed, _SAME, "no log", "restart the log's reader and the sidecar"
    ),
    Fault(
        "the disk is full: the log's file cannot grow",
        "machine",
        _log_file_full,
        _SAME,
        "the log ends",
        "free the disk",
    ),
    Fault(
        "the disk is full: the model's export cannot be written",
        "machine",
        _no_room_for_exports,
        "Elasticsearch's own answer, until the disk has room",
        "`passed; model_unavailable`, an error at each try",
        "free the disk; set `engine.cache_dir`",
        frozenset({"passed: model_unavailable"}),
        "the exported model cannot be written",
    ),
    Fault(
        "idle clients hold all file descriptors",
        "machine",
        _out_of_descriptors,
        _SAME + ": idle connections make room",
        "`sidecar_proxy_idle_clients_evicted_total`, a warning",
        "raise the limit (`ulimit -n`)",
        _SOUND,
        "idle connections are closed",
        "sidecar_proxy_idle_clients_evicted_total",
    ),
    Fault(
        "the process does not run for half a second (SIGSTOP)",
        "machine",
        while_on(_paused, extra=0.6),
        "the answer that much later, rescored or Elasticsearch's own",
        "`failed; deadline`",
        "look at the machine",
        frozenset({"reranked", "failed"}),
    ),
)


def _beside(nuisance: Callable[[int], Awaitable[None]]) -> Injected:
    """Have other clients behave like that for as long as the block runs."""

    @contextlib.asynccontextmanager
    async def inject(_: Bench, process: Process) -> AsyncIterator[None]:
        async def one() -> None:
            while True:
                with contextlib.suppress(OSError, EOFError):
                    await nuisance(process.port)

        clients = [asyncio.create_task(one()) for _ in range(4)]
        yield
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    return inject


async def _begun(port: int, sent: bytes, seconds: float) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(seconds)
    finally:
        writer.transport.abort()


_BODY = PROBES["page"].body
_LINES = (
    f"POST /{INDEX}/_search HTTP/1.1",
    "Host: h",
    "Content-Type: application/json",
    f"Content-Length: {len(_BODY)}",
)
_LEAVES = "\r\n".join([*_LINES, "", ""]).encode() + _BODY
_BROKEN = b"POST /_bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"


def _other(name: str, sent: bytes, seconds: float) -> Fault:
    inject = _beside(lambda port: _begun(port, sent, seconds))
    probes = tuple(name for name in ALL if name != "_msearch")
    return Fault(f"other clients {name}", "clients", _judged_alone(inject, probes), _SAME, "nothing", "nothing", _SOUND)


def _judged_alone(inject: Injected, probes: Sequence[str]) -> Callable[[Bench, Fault], Awaitable[Verdict]]:
    """Judge the answers of well-behaved clients; the metrics count the others, too."""

    async def run(bench: Bench, _: Fault) -> Verdict:
        process = await bench.shared(1)
        bench.sound()
        async with inject(bench, process):
            answers: list[Answer] = [each for _ in range(3) for each in await process.ask(probes)]
        verdict = bench.judged(answers)
        if not await process.scores():
            verdict.broken.append("searches are not rescored after the fault")
        return verdict

    return run


CLIENTS = (
    _other("leave in the middle of their search", _LEAVES, 0.2),
    _other("stop in the middle of their body", _LEAVES[:-9], 0.2),
    _other("stop in the middle of their head", _LEAVES[:40], 0.2),
    _other("send a body that breaks off in its framing", _BROKEN, 0.02),
    _other("send what is not HTTP", b"\x16\x03\x01\x02\x00\x01\x00" * 30, 0.02),
)

FAULTS = (*CONFIGURATION, *MACHINE, *CLIENTS)
