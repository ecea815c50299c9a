"""Faults between the sidecar and Elasticsearch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from hardening.faults import behaviours as does
from hardening.faults.asking import ALL, PROBES
from hardening.faults.bench import Bench, Fault, Injected, while_on
from hardening.faults.node import Behaviour, Exchange
from hardening.faults.process import CONNECT_TIMEOUT, READ_TIMEOUT, Process

_GROUP = "Elasticsearch"
_SEARCHED = tuple(name for name in ALL if PROBES[name].scored)
_PLAIN = ("page", "second page", "_msearch", "count")
_FAILED = "sidecar_proxy_upstream_failures_total"
_SOUND = ("reranked",)
_GARBAGE = b"\x16\x03\x01\x02\x00 SSH-2.0-x\r\n\r\n" * 9


def _anything(_: Exchange) -> bool:
    return True


def _is(*parts: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.part in parts


def _widened(exchange: Exchange) -> bool:
    """Return whether a request is a search that is not the client's own."""
    asked = {probe.body for probe in PROBES.values() if probe.scored}
    return exchange.part == "search" and exchange.body not in asked


def _rest(exchange: Exchange) -> bool:
    return exchange.part == "search" and re.search(rb'"from":\s*1\d', exchange.body) is not None


def _does(behave: Behaviour, where: Callable[[Exchange], bool] = _anything, node: int = 0) -> Injected:
    @contextlib.asynccontextmanager
    async def inject(bench: Bench, _: Process) -> AsyncIterator[None]:
        bench.nodes[node].behave, bench.nodes[node].where = behave, where
        yield
        if not bench.nodes[node].met:
            raise RuntimeError("the fault was not met by any request")

    return inject


def _away(*nodes: int) -> Injected:
    """Have relays break all connections and refuse new ones."""

    @contextlib.asynccontextmanager
    async def inject(bench: Bench, _: Process) -> AsyncIterator[None]:
        for node in nodes:
            await bench.nodes[node].stop()
        try:
            yield
        finally:
            for node in nodes:
                await bench.nodes[node].start()

    return inject


@contextlib.asynccontextmanager
async def _full(bench: Bench, _: Process) -> AsyncIterator[None]:
    """Listen on the node's port with a queue that is full: the system answers no further connection."""
    node = bench.nodes[0]
    await node.stop()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", node.port))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", node.port))
        yield
        for each in waiting:
            each.close()
    await node.start()


@contextlib.asynccontextmanager
async def _stale(bench: Bench, _: Process) -> AsyncIterator[None]:
    """Break the pooled connections just before the next requests take them."""
    bench.nodes[0].break_all()
    yield


@contextlib.asynccontextmanager
async def _stopped(bench: Bench, _: Process) -> AsyncIterator[None]:
    """Stop the node's own process, and let it go on afterwards."""
    number = await asyncio.to_thread(_process_of, bench.url)
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


def _process_of(url: str) -> int:
    """Return a node's process id, which it tells."""
    with urllib.request.urlopen(f"{url}/_nodes/_local/process?filter_path=**.id") as answer:
        return int(re.findall(rb'"id":(\d+)', answer.read())[0])


def _fault(
    name: str,
    inject: Injected,
    client: str,
    operator: str,
    advice: str,
    told: Sequence[str] = (),
    *,
    log: str = "",
    metric: str = "",
    **more: Any,
) -> Fault:
    return Fault(name, _GROUP, while_on(inject, **more), client, operator, advice, frozenset(told), log, metric)


def _unanswered(name: str, inject: Injected, status: int, reason: str, advice: str, **more: Any) -> Fault:
    """Return a fault that leaves nothing to answer with."""
    said = {502: "502", 504: "504 after `read_timeout`"}[status]
    operator = f"`failed; {reason}`, `{_FAILED}`, a warning with `detail`"
    told = [f"failed: {reason}"]
    options = {"refused": (status,), "log": f'"reason": "{reason}"', "metric": _FAILED, **more}
    return _fault(name, inject, said, operator, advice, told, **options)


_NODE = "look at the node and the network"
_BETWEEN = "look at what stands between: proxies, balancers"
_LOOKS = "see Elasticsearch's own log; a proxy between may answer in its name"
NOT_ANSWERED = (
    _unanswered("the node is killed: connections are refused", _away(0), 502, "upstream_unreachable", "start the node"),
    _unanswered(
        "the network swallows connections",
        _full,
        502,
        "upstream_unreachable",
        "look at firewalls and routes; lower `connect_timeout`",
        probes=_PLAIN,
        extra=2 * CONNECT_TIMEOUT,
    ),
    _unanswered(
        "the node's process is stopped (SIGSTOP)",
        _stopped,
        504,
        "upstream_timeout",
        _NODE,
        probes=_PLAIN,
        extra=READ_TIMEOUT,
    ),
    _unanswered("the node takes requests and never answers", _does(does.silently), 504, "upstream_timeout", _NODE),
    _unanswered("the node resets every request", _does(does.with_reset), 502, "upstream_reset", _NODE),
    _unanswered("the node closes instead of answering", _does(does.with_end), 502, "upstream_reset", _NODE),
    _unanswered(
        "the answer ends in its head",
        _does(does.in_part(does.in_the_head, does.with_end)),
        502,
        "upstream_reset",
        _NODE,
    ),
    _unanswered(
        "the answer stops in its head",
        _does(does.in_part(does.in_the_head, does.silently)),
        504,
        "upstream_timeout",
        _NODE,
    ),
    _unanswered("garbage instead of HTTP", _does(does.saying(_GARBAGE)), 502, "upstream_protocol", _BETWEEN),
    _unanswered(
        "a status line without a status",
        _does(does.saying(b"HTTP/1.1 OK\r\n\r\n")),
        502,
        "upstream_protocol",
        _BETWEEN,
    ),
    _unanswered(
        "a status that HTTP does not have (999)",
        _does(does.saying(does.answer_of(999, {}))),
        502,
        "upstream_protocol",
        _BETWEEN,
    ),
    _unanswered(
        "an answer with two lengths",
        _does(does.changed(lambda head, body: does.framed(head, body, b"content-length: 3"))),
        502,
        "upstream_protocol",
        _BETWEEN,
    ),
    _unanswered(
        "a head of a megabyte",
        _does(does.changed(lambda head, body: does.framed(head, body, b"x-long: " + b"x" * (1 << 20)))),
        502,
        "upstream_protocol",
        _BETWEEN,
    ),
)

_CUT = ("failed: upstream_cut", "passed: no_mapping")
CUT = (
    _fault(
        "every answer ends in its body",
        _does(does.in_part(does.in_the_body, does.with_end)),
        "searches: 502; all else: the beginning, then a broken connection, as without a sidecar",
        "`failed; upstream_cut`, a warning",
        _NODE,
        _CUT,
        log="cut short",
        refused=(502,),
        cut=True,
    ),
    _fault(
        "every answer is reset in its body",
        _does(does.in_part(does.in_the_body, does.with_reset)),
        "searches: 502; all else: the beginning, then a broken connection",
        "`failed; upstream_cut`, a warning",
        _NODE,
        _CUT,
        log="cut short",
        refused=(502,),
        cut=True,
    ),
    _fault(
        "every answer stops in its body",
        _does(does.in_part(does.in_the_body, does.silently)),
        "searches: 504, or what all else gets: the beginning, then a broken connection",
        "`failed; upstream_timeout` or `deadline`, a warning",
        _NODE,
        ("failed: upstream_timeout", "passed: no_mapping"),
        log="cut short|upstream_timeout",
        refused=(504,),
        cut=True,
    ),
    _fault(
        "every answer is longer than it says",
        _does(does.changed(lambda head, body: does.framed(head, body + b"GET / HTTP/1.1\r\n\r\n", length=len(body)))),
        "502: where one answer ends and the next begins is not sure",
        "`failed; upstream_protocol`, a warning",
        _BETWEEN,
        ("failed: upstream_protocol",),
        log="upstream_protocol",
        refused=(502,),
    ),
    _fault(
        "every answer is shorter than it says",
        _does(
            does.in_turn(does.changed(lambda head, body: does.framed(head, body, length=len(body) + 9)), does.silently)
        ),
        "searches: 504, or what all else gets: the whole body, then a broken connection",
        "`failed; upstream_timeout` or `deadline`, a warning",
        _BETWEEN,
        ("failed: upstream_timeout", "passed: no_mapping"),
        refused=(504,),
        cut=True,
    ),
)

SLOW = (
    _fault(
        "every answer comes 0.4 s late",
        _does(does.late(0.4)),
        "the rescored answer, that much later",
        '`sidecar_stage_seconds{stage="elasticsearch"}`',
        "look at the cluster's load",
        _SOUND,
        metric="sidecar_stage_seconds",
    ),
    _fault(
        "every answer comes in forty pieces",
        _does(does.bit_by_bit(40, 0.01)),
        "the rescored answer, once it is whole",
        '`sidecar_stage_seconds{stage="elasticsearch"}`',
        "look at the network",
        _SOUND,
    ),
    _fault(
        "an interim answer (102) before each answer",
        _does(does.changed(lambda head, body: b"HTTP/1.1 102 Processing\r\n\r\n" + does.framed(head, body))),
        "the rescored answer",
        "nothing",
        "nothing",
        _SOUND,
    ),
    _fault(
        "pooled connections are broken at once",
        _stale,
        "the rescored answer; a write that was on its way: 502",
        "nothing",
        "nothing",
        ("reranked",),
        refused=(502,),
    ),
)


def _errors() -> tuple[Fault, ...]:
    found = []
    for status, kind in (
        (401, "security_exception"),
        (403, "security_exception"),
        (404, "index_not_found_exception"),
        (429, "es_rejected_execution_exception"),
        (500, "null_pointer_exception"),
        (502, "bad_gateway"),
        (503, "cluster_block_exception"),
        (504, "gateway_timeout"),
    ):
        found.append(
            _fault(
                f"every answer is a {status}",
                _does(does.refusing(status, kind)),
                f"Elasticsearch's {status}",
                "`passed; upstream_error` or `widened_refused`",
                _LOOKS,
                ("passed: upstream_error", "passed: widened_refused", "passed: no_mapping", "passed: several_reasons"),
            )
        )
    return tuple(found)


_OWN = (
    "passed: widened_refused",
    "passed: upstream_error",
    "passed: unreadable_answer",
    "passed: widened_partial",
    "reranked",
    "passed: answer_too_large",
    "passed: several_reasons",
)
_AGAIN = "Elasticsearch's own answer to the client's own request, sent once more"


def _json_cut(head: bytes, body: bytes) -> bytes:
    return does.framed(head, body[: len(body) // 2])


def _odd(name: str, behave: Behaviour, reason: str, where: Callable[[Exchange], bool] = _widened, **more: Any) -> Fault:
    advice = more.pop("advice", _LOOKS)
    return _fault(name, _does(behave, where), more.pop("client", _AGAIN), f"`passed; {reason}`", advice, _OWN, **more)


ODD = (
    _odd(
        "the widened search is refused (400)",
        does.refusing(400, "illegal_argument_exception"),
        "widened_refused",
        advice="see whether `window_size` is above `index.max_result_window`",
    ),
    _odd("a shard fails in the widened search", does.with_json(does.failed_shards), "widened_partial"),
    _odd("the widened search runs out of its time", does.with_json(does.timed_out), "widened_partial"),
    _odd("the widened answer is JSON that breaks off", does.changed(_json_cut), "unreadable_answer"),
    _odd(
        "the widened answer is a web page",
        does.saying(does.answer_of(200, b"<html>login</html>", "content-type: text/html"), close=False),
        "unreadable_answer",
        advice=_BETWEEN,
    ),
    _odd(
        "the widened answer is empty",
        does.saying(does.answer_of(200, b""), close=False),
        "unreadable_answer",
        advice=_BETWEEN,
    ),
    _odd(
        "the widened answer is nested 100,000 deep",
        does.saying(does.answer_of(200, b"[" * 100_000), close=False),
        "unreadable_answer",
        advice=_BETWEEN,
    ),
    _odd(
        "the widened answer says gzip and is not",
        does.changed(lambda head, body: does.framed(head, body, b"content-encoding: gzip")),
        "unreadable_answer",
        advice=_BETWEEN,
    ),
    _odd(
        "the widened answer unpacks to 200 MB",
        does.saying(does.answer_of(200, does.compressed(bytes(200 << 20)), "content-encoding: gzip"), close=False),
        "answer_too_large",
        advice="see `max_search_answer`",
    ),
    _odd(
        "the widened answer lacks its hits",
        does.saying(does.answer_of(200, {"took": 1}), close=False),
        "unreadable_answer",
    ),
    _fault(
        "the rest of a page that crosses the window's end is reset",
        _does(does.with_reset, _rest),
        "Elasticsearch's own answer",
        "`passed; widened_refused`",
        _NODE,
        ("passed: widened_refused",),
        probes=("page across the window's end",),
    ),
)

_LOST = (
    "reranked",
    "passed: no_document_text",
    "failed: look_up",
    "failed: upstream_reset",
    "failed: upstream_timeout",
    "passed: several_reasons",
    "failed: lookup_failed",
    "passed: texts_unavailable",
    "failed: texts_unavailable",
)


def _look_up(name: str, behave: Behaviour) -> Fault:
    return _fault(
        f"the look-up of texts {name}",
        _does(behave, _is("look-up")),
        "Elasticsearch's own answer",
        "`passed; no_document_text`, `sidecar_texts_not_found_total`; where it is late `failed; deadline`",
        "see whether the caller may read the mapped fields; see Elasticsearch's log",
        _LOST,
        probes=("page without _source",),
    )


LOOK_UPS = (
    _look_up("is reset", does.with_reset),
    _look_up("is never answered", does.silently),
    _look_up("is answered a second late", does.late(1.5)),
    _look_up("is cut short", does.in_part(does.in_the_body, does.with_end)),
    _look_up("is refused (429)", does.refusing(429, "es_rejected_execution_exception")),
    _look_up("is refused (403)", does.refusing(403, "security_exception")),
    _look_up("is refused (503)", does.refusing(503, "cluster_block_exception")),
    _look_up("gives garbage", does.saying(_GARBAGE)),
    _look_up("gives JSON that breaks off", does.changed(_json_cut)),
)

_NOT_MAPPED = ("reranked", "passed: no_mapping", "passed: mixed_mappings", "passed: several_reasons")


def _resolving(name: str, behave: Behaviour) -> Fault:
    return _fault(
        f"the resolution of names {name}",
        _does(behave, _is("resolving")),
        "rescored, too, while it is remembered what an alias stands for; else Elasticsearch's own answer",
        "`passed; no_mapping`",
        "map the alias itself; see whether callers may use `_field_caps`",
        _NOT_MAPPED,
        probes=("page", "alias", "_msearch", "count"),
    )


ASKED_BESIDE = (
    _resolving("is reset", does.with_reset),
    _resolving("is never answered", does.silently),
    _resolving("is refused (403)", does.refusing(403, "security_exception")),
    _resolving("gives garbage", does.saying(_GARBAGE)),
)

_DEAD = "sidecar_proxy_upstream_dead_urls"


def _of_two(
    name: str,
    inject: Injected,
    client: str,
    *,
    refused: Sequence[int] = (),
    told: Sequence[str] = ("reranked",),
    **more: Any,
) -> Fault:
    return _fault(
        f"one of two nodes {name}",
        inject,
        client,
        f"`{_DEAD}`",
        "mend the node; the sidecar takes it back by itself",
        told,
        nodes=2,
        refused=refused,
        rounds=3,
        probes=_PLAIN,
        **more,
    )


TWO = (
    _of_two("refuses connections", _away(1), "the rescored answer, of the other node"),
    _of_two(
        "takes requests and never answers",
        _does(does.silently, node=1),
        "the rescored answer, of the other node, after `probe_after` and `connect_timeout` at first",
    ),
    _of_two("resets every request", _does(does.with_reset, node=1), "the rescored answer, of the other node"),
    _of_two(
        "answers 503",
        _does(does.refusing(503, "cluster_block_exception"), node=1),
        "at first its 503, then the other node's answers",
        told=("reranked", "passed: upstream_error", "passed: widened_refused"),
    ),
    _fault(
        "both nodes refuse connections",
        _away(0, 1),
        "502",
        "`failed; upstream_unreachable`, `" + _DEAD + "`",
        "start a node",
        ("failed: upstream_unreachable",),
        nodes=2,
        refused=(502,),
        probes=_PLAIN,
        metric=_DEAD,
    ),
)

FAULTS = (*NOT_ANSWERED, *CUT, *SLOW, *_errors(), *ODD, *LOOK_UPS, *ASKED_BESIDE, *TWO)
