"""Broken and mutated requests, thrown at a running proxy over raw sockets.

What must hold: each connection ends in time; no answer is a 500; nothing is logged as a bug; after each round a plain
request is answered; and the upstream, which sees every byte, gets no request that the proxy did not take as one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web

from hardening.mutations import case
from hardening.witness import Witness
from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.http.listener import listen_for_clients
from sidecar.http.proxy import Handler
from sidecar.http.refusals import origin_form

_AT_ONCE = 64
_PATIENCE = 20.0
"""Seconds after which a connection counts as hung; the proxy's own timeouts are set to 1 or less."""

_OWN = ("/_render/template", "/_search?filter_path=_shards.failed,profile")
_FIELDS = re.compile("/_field_caps[?]fields=(_id|[*]&types=)")


@dataclass
class Findings:
    """What was seen. ``faults`` are the reasons why the run failed."""

    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class _Bugs(logging.Handler):
    """Takes errors that the proxy logs: they are bugs of ours, whoever sent what."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.ERROR)
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        self._findings.faults.append(f"logged: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


async def fuzz(random: Random, more: Callable[[int], bool]) -> Findings:
    """Run rounds of cases as long as ``more(cases so far)`` says."""
    findings, witness, taken = Findings(), Witness(), list[tuple[str, str]]()
    bugs = _Bugs(findings)
    logging.getLogger().addHandler(bugs)
    asyncio.get_running_loop().set_exception_handler(lambda _, what: findings.faults.append(f"unhandled: {what}"))
    try:
        async with _proxy(witness, taken) as port:
            while more(findings.cases) and not findings.faults:
                await _round(port, random, findings)
                _compare(witness, taken, findings)
    finally:
        logging.getLogger().removeHandler(bugs)
    return findings


@contextlib.asynccontextmanager
async def _proxy(witness: Witness, taken: list[tuple[str, str]]) -> AsyncIterator[int]:
    server = await asyncio.start_server(witness.serve, "127.0.0.1", 0)
    listener = {"host": "127.0.0.1", "port": 0}
    times = {"read_timeout": 0.5, "total_timeout": 1.0}
    upstream = {"urls": [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"], **times}
    upstream["dialect"] = "elasticsearch"  # or the first search would ask
    settings: dict[str, Any] = {"listen": listener, "admin": listener, "upstream": upstream}
    config = Config.model_validate(settings | {"engine": {"model": "bundled"}, "indices": {"i": {"fields": ["t"]}}})
    sidecar = Sidecar(config)  # its model is never loaded: searches are read and planned, then passed on
    await sidecar.upstream.start()
    handler = _noting(Handler(sidecar.upstream, sidecar.rescorer, sidecar.observer), taken)
    clients = await listen_for_clients(handler, config.listen, idle=0.5)
    try:
        yield clients.port
    finally:
        await clients.close()
        await sidecar.upstream.close()
        server.close()


def _noting(
    handler: Handler, taken: list[tuple[str, str]]
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        taken.append((request.method, origin_form(request.raw_path, request.headers.get("Host"))))
        return await handler(request)

    return handle


async def _round(port: int, random: Random, findings: Findings) -> None:
    cases = [case(random) for _ in range(_AT_ONCE)]
    await asyncio.gather(*(_send(port, pieces, findings) for pieces in cases))
    findings.cases += len(cases)
    alive = await _answer(port, [b"GET /alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"])
    if not alive.startswith(b"HTTP/1.1 200"):
        findings.faults.append(f"no longer serving: {alive!r}")


async def _send(port: int, pieces: list[bytes], findings: Findings) -> None:
    try:
        got = await asyncio.wait_for(_answer(port, pieces), _PATIENCE)
    except TimeoutError:
        findings.faults.append(f"hung: {pieces!r}")
        return
    status = got[9:12].decode("latin-1") or "closed"
    findings.statuses[status] += 1
    if status == "500" or b" 500 Internal Server Error\r\n" in got:
        findings.faults.append(f"answered 500: {pieces!r}")


async def _answer(port: int, pieces: list[bytes]) -> bytes:
    """Send pieces, and give what comes back until the proxy ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        while piece := await reader.read(1 << 16):
            got += piece
    writer.close()
    return got


def _compare(witness: Witness, taken: list[tuple[str, str]], findings: Findings) -> None:
    """Whatever reached the upstream was taken by the proxy as a request of its own."""
    findings.faults += witness.faults
    sent = [(method, target) for method, target in witness.requests if not _own(target)]
    extra = Counter(sent) - Counter(taken)
    findings.faults += [f"smuggled: {method} {target}" for method, target in extra]


def _own(target: str) -> bool:
    """Return whether the sidecar asks this by itself, with a client's credentials."""
    return target.startswith(_OWN) or _FIELDS.search(target) is not None


def main() -> int:
    """Run for some minutes and report."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the clock")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    ends = time.monotonic() + args.minutes * 60
    logging.disable(logging.WARNING)
    findings = asyncio.run(fuzz(Random(args.seed), lambda _: time.monotonic() < ends))
    print(f"{findings.cases} cases: {dict(sorted(findings.statuses.items()))}")
    print("\n".join(findings.faults[:20]) or "nothing broke")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
