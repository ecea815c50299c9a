"""Replays raw requests at Elasticsearch and at a sidecar before it, and says where the answers differ unduly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from hardening.faults.node import FaultyNode
from hardening.hostile import Hostile

_PATIENCE = 20.0
Answers = list[tuple[int, bytes]]
"""Status and body of each answer, the times it took left out."""


async def replay(direct: int, sidecar: int, node: FaultyNode, corpus: Sequence[Hostile]) -> list[str]:
    """Send each request to both ports; ``node`` is the relay between the sidecar and Elasticsearch."""
    found: list[str] = []
    for case in corpus:
        node.seen.clear()
        expected = [] if case.refused else await answers(direct, replace(case, sent=case.like or case.sent))
        got = await answers(sidecar, case)
        passed = [request for seen in node.seen.values() for _, request in seen.requests]
        found += [f"{case.name}: {each}" for each in faults(case, expected, got, passed)]
    return found


def faults(case: Hostile, expected: Answers, got: Answers, passed: Sequence[str]) -> list[str]:
    """Say what is wrong with the sidecar's answers to one case, and with what it sent on."""
    found = [f"sent on: {request}" for request in passed if "smuggled" in request]
    if case.refused is not None:
        refused = [status for status, _ in got] == [case.refused] and b'"error"' in got[0][1]
        found += [] if refused else [f"not refused with {case.refused}: {got}"]
        return found + [f"refused, and sent on: {request}" for request in passed if not _own(request)]
    return found + ([] if got == expected else [f"{got} instead of {expected}"])


def _own(request: str) -> bool:
    """Return whether the sidecar asks this of its own accord, before it has read the body."""
    return "/_field_caps?" in request


async def answers(port: int, case: Hostile) -> Answers:
    """Return the answers to one case."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    got: Answers = []
    try:
        writer.write(case.sent)
        async with asyncio.timeout(_PATIENCE):
            while len(got) < case.answers:
                status, body = await _answer(reader, bodiless=case.bodiless and not got)
                got += [] if status == 100 else [(status, _normal(body))]
    except (EOFError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return got


async def _answer(reader: asyncio.StreamReader, *, bodiless: bool) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    if bodiless or status == 100:
        return status, b""
    if length:
        return status, await reader.readexactly(int(length[1]))
    if b"chunked" not in head:
        return status, await reader.read()
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, body


def _normal(body: bytes) -> bytes:
    return re.sub(rb'"took":\d+', b'"took":0', body)
