"""What a client asks while a fault is on, and what it gets."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

INDEX, ALIAS, WRITTEN = "faults", "faults-alias", "faults-written"
MAPPED_WINDOW = 10
_MATCH = {"query": {"match": {"text": "zero one two"}}}
_JSON = "application/json"
_numbers = itertools.count()


@dataclass(frozen=True)
class Probe:
    """A request, and whether its answer is one that scores can reorder."""

    name: str
    path: str
    body: bytes = b""
    method: str = "POST"
    kind: str = _JSON
    scored: bool = True


def _search(**more: Any) -> bytes:
    return json.dumps({**_MATCH, **more}).encode()


def _several() -> bytes:
    searches = (_search(size=5), _search(size=5, sort=["_doc"]))
    return b"".join(b'{"index":"%b"}\n%b\n' % (INDEX.encode(), each) for each in searches)


PROBES = {
    probe.name: probe
    for probe in (
        Probe("page", f"/{INDEX}/_search", _search(size=5)),
        Probe("second page", f"/{INDEX}/_search", _search(size=5, **{"from": 5})),
        Probe("page across the window's end", f"/{INDEX}/_search", _search(size=6, **{"from": 8})),
        Probe("page without _source", f"/{INDEX}/_search", _search(size=5, _source=False)),
        Probe("alias", f"/{ALIAS}/_search", _search(size=5)),
        Probe("_msearch", "/_msearch", _several(), kind="application/x-ndjson"),
        Probe("count", f"/{INDEX}/_count", method="GET", scored=False),
        Probe(
            "bulk",
            f"/{WRITTEN}/_bulk",
            b'{"index":{"_id":"1"}}\n{"n":1}\n',
            kind="application/x-ndjson",
            scored=False,
        ),
    )
}
ALL = tuple(PROBES)
FEW = ("page", "_msearch", "count")
"""Few enough not to open a circuit."""


@dataclass
class Answer:
    """What a client got: ``status`` 0 where nothing came, ``whole`` where the answer's end did."""

    probe: Probe
    who: str
    seconds: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def told(self) -> str:
        """Return what `X-Rescore` says, without its details: `reranked`, `failed: deadline`."""
        said = self.headers.get("x-rescore", "")
        outcome, _, reason = said.partition("; reason=")
        return f"{outcome}: {reason.partition(';')[0]}" if reason else said.partition(";")[0]


async def ask(port: int, probe: Probe, patience: float = 30.0) -> Answer:
    """Ask on a connection of its own."""
    answer = Answer(probe, f"{probe.name}-{next(_numbers)}")
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            await _exchange(port, probe, answer)
    except (OSError, EOFError, ValueError):  # TimeoutError is an OSError
        pass
    answer.seconds = time.monotonic() - began
    return answer


async def _exchange(port: int, probe: Probe, answer: Answer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    lines = [f"{probe.method} {probe.path} HTTP/1.1", "Host: h", "Connection: close", f"X-Opaque-Id: {answer.who}"]
    lines += [f"Content-Type: {probe.kind}", f"Content-Length: {len(probe.body)}"] if probe.body else []
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + probe.body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer.status = int(head[0].split(" ")[1])
        answer.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        await _take(reader, answer)
    finally:
        writer.transport.abort()


async def _take(reader: asyncio.StreamReader, answer: Answer) -> None:
    if "content-length" in answer.headers:
        answer.body = await reader.readexactly(int(answer.headers["content-length"]))
    else:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    answer.whole = True


def without_took(body: bytes) -> bytes:
    """Return an answer without the times it took."""
    return re.sub(rb'"took":\d+', b'"took":0', body)


def order(body: bytes) -> Any:
    """Return what an answer says but for times and the scores' last digits."""
    return json.loads(body, parse_float=lambda text: round(float(text), 2), object_hook=_timeless)


def _timeless(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in ("took", "_score", "max_score")}
