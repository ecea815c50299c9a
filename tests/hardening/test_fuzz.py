"""The short version of `scripts/fuzz`, and that it would notice."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from aiohttp import web
from hardening.fuzz_proxy import fuzz
from hardening.mutations import VALID, case
from hardening.witness import Witness

from sidecar.http.proxy import Handler
from sidecar.http.response import error_response


async def test_broken_and_mutated_requests_break_nothing() -> None:
    findings = await fuzz(Random(3), lambda cases: cases < 512)
    assert findings.faults == []
    assert {"200", "400"} <= set(findings.statuses)


async def test_a_bug_in_a_handler_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == "/alive":
            return error_response(500, "broken", "broken")
        raise RuntimeError("a bug")

    monkeypatch.setattr(Handler, "__call__", broken)
    findings = await fuzz(Random(3), lambda cases: cases < 64)
    assert {fault.partition(":")[0] for fault in findings.faults} == {"logged", "answered 500", "no longer serving"}


async def test_a_request_that_the_proxy_did_not_take_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Handler.__call__

    async def smuggling(handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        async with handler._upstream.open("GET", "/smuggled", [("Host", "h")], None):
            return await whole(handler, request)

    monkeypatch.setattr(Handler, "__call__", smuggling)
    findings = await fuzz(Random(3), lambda cases: cases < 64)
    assert "smuggled: GET /smuggled" in findings.faults


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "not a request"),
        (b"GET /a HTTP/1.1\r\nX-A : b\r\n\r\n", "not a request"),
        (b"POST /a HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", "two framings"),
    ],
)
async def test_the_witness_knows_what_no_proxy_may_send(sent: bytes, fault: str) -> None:
    witness = Witness()
    server = await asyncio.start_server(witness.serve, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(sent)
    while not witness.faults:
        await asyncio.sleep(0)
    writer.close()
    server.close()
    assert witness.faults[0].startswith(fault)


def test_the_same_seed_gives_the_same_cases() -> None:
    one, other = Random(5), Random(5)
    cases = [case(one) for _ in range(200)]
    assert cases == [case(other) for _ in range(200)]
    assert sum(b"".join(each) not in VALID for each in cases) > 100
