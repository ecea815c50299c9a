"""What a node, or what stands between, can do to an answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

from hardening.faults.node import Behaviour, Exchange, soundly, unchunked


async def silently(exchange: Exchange) -> None:
    """Take the request and never answer."""
    await exchange.gone()


async def with_reset(exchange: Exchange) -> None:
    """Reset the connection instead of answering."""
    exchange.reset()


async def with_end(exchange: Exchange) -> None:
    """Close the connection instead of answering."""
    exchange.writer.close()


def late(seconds: float) -> Behaviour:
    """Answer after some seconds."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await soundly(exchange)

    return behave


def bit_by_bit(pieces: int, pause: float) -> Behaviour:
    """Answer in pieces, with a pause after each."""

    async def behave(exchange: Exchange) -> None:
        answer = await exchange.answered()
        size = len(answer) // pieces + 1
        for start in range(0, len(answer), size):
            exchange.writer.write(answer[start : start + size])
            await asyncio.sleep(pause)

    return behave


def in_part(cut: Callable[[bytes], int], then: Behaviour) -> Behaviour:
    """Write a part of the answer, then behave otherwise."""

    async def behave(exchange: Exchange) -> None:
        answer = await exchange.answered()
        exchange.writer.write(answer[: cut(answer)])
        await exchange.writer.drain()
        await asyncio.sleep(0.02)  # so that the part leaves before a reset takes it back
        await then(exchange)

    return behave


def in_turn(first: Behaviour, then: Behaviour) -> Behaviour:
    """Behave in one way, then in another."""

    async def behave(exchange: Exchange) -> None:
        await first(exchange)
        await then(exchange)

    return behave


def in_the_head(answer: bytes) -> int:
    """Return a place within the head."""
    return answer.index(b"\r\n\r\n") - 5


def in_the_body(answer: bytes) -> int:
    """Return a place within the body."""
    return (answer.index(b"\r\n\r\n") + 4 + len(answer)) // 2


def saying(raw: bytes, *, close: bool = True) -> Behaviour:
    """Write these bytes, whatever was asked."""

    async def behave(exchange: Exchange) -> None:
        exchange.writer.write(raw)
        await exchange.writer.drain()
        if close:
            exchange.writer.close()

    return behave


def answer_of(status: int, body: Any, *headers: str) -> bytes:
    """Return an answer as Elasticsearch frames it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = (
        "" if any(line.lower().startswith("content-type") for line in headers) else "content-type: application/json\r\n"
    )
    more = "".join(f"{line}\r\n" for line in headers)
    head = (
        f"HTTP/1.1 {status} Said\r\nX-elastic-product: Elasticsearch\r\n{kind}{more}content-length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def refusing(status: int, kind: str) -> Behaviour:
    """Answer with an error in Elasticsearch's shape."""
    cause = {"type": kind, "reason": "injected"}
    return saying(answer_of(status, {"error": {"root_cause": [cause], **cause}, "status": status}), close=False)


def changed(change: Callable[[bytes, bytes], bytes]) -> Behaviour:
    """Answer with a changed answer: ``change(head, body)`` returns the bytes to write."""

    async def behave(exchange: Exchange) -> None:
        head, _, body = (await exchange.answered()).partition(b"\r\n\r\n")
        exchange.writer.write(change(head, unchunked(head, body)))

    return behave


def framed(head: bytes, body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    """Return an answer whose head has these headers and the body's length, or the one given."""
    kept = re.sub(rb"(?im)\r\n(content-length|transfer-encoding): [^\r]*", b"", head)
    more = b"".join(b"\r\n" + line for line in headers)
    return kept + more + b"\r\ncontent-length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def with_json(edit: Callable[[dict[str, Any]], None]) -> Behaviour:
    """Answer with the node's answer, edited; each one of an `_msearch` alike."""

    def change(head: bytes, body: bytes) -> bytes:
        value = json.loads(body)
        for each in value.get("responses", [value]):
            edit(each)
        return framed(head, json.dumps(value, separators=(",", ":")).encode())

    return changed(change)


def failed_shards(answer: dict[str, Any]) -> None:
    """Make an answer one of which a shard failed."""
    shards = answer.get("_shards", {})
    reason = {"type": "injected", "reason": "injected"}
    shards |= {"failed": 1, "failures": [{"shard": 0, "index": "faults", "reason": reason}]}


def timed_out(answer: dict[str, Any]) -> None:
    """Make an answer one that ran out of its time."""
    answer["timed_out"] = True


def compressed(body: bytes) -> bytes:
    """Compress with gzip."""
    return gzip.compress(body, 1)
