"""Every reason, met by a request of its own: header, metric, log line and documentation say the same.

The scorer and the upstream are stand-ins: no real ones can be made to fail in each of these ways.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.errors import BackendFailed, DeadlineExceeded, Overloaded, QueueFull, ScorerDown
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from tests.http.conftest import Recorder, recording, request, say
from tests.scorers import Give, GivenScorer, falling, raising

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
MATCH = {"query": {"match": {"t": "fox"}}}
HITS = [{"_index": "i", "_id": text, "_score": 1.0, "_source": {"t": text}} for text in ("a", "b", "c")]
FOUND = {"took": 1, "hits": {"max_score": 1.0, "hits": HITS}}
_COUNTED = {"buckets": [{"key": "i", "doc_count": 3}], "sum_other_doc_count": 0}
PIT = {"id": "p", "timed_out": False, "_shards": {"failed": 0}, "aggregations": {"indices": _COUNTED}}
NONE = {"took": 1, "hits": {"max_score": None, "hits": []}}
Reply = Callable[[str], bytes]
"""The bytes of an answer to a request of this path."""


def answered(value: Any, status: int = 200) -> Reply:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda path: head.encode() + body


def unresolved(path: str) -> bytes:
    """Answer that an expression names no index, and everything else with hits."""
    return answered({} if "_field_caps" in path else FOUND)(path)


def hits(path: str) -> bytes:
    """Answer everything with hits."""
    return answered(FOUND)(path)


@dataclass(frozen=True)
class Case:
    """A request that meets a reason. ``before`` is how many like it come first, ``beside`` how many wait."""

    reason: Reason
    target: str = "/i/_search"
    body: Any = field(default_factory=lambda: MATCH)
    method: str = "POST"
    headers: tuple[str, ...] = ()
    reply: Reply = hits
    give: Give = falling
    unready: Reason | None = None
    mapping: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    upstream: dict[str, Any] = field(default_factory=dict)
    before: int = 0
    beside: int = 0


def lines(*searches: Any) -> bytes:
    return b"".join(b'{"index":"i"}\n' + json.dumps(search).encode() + b"\n" for search in searches)


RETRIEVER = {"standard": {"query": MATCH["query"]}}
NEIGHBOURS = {"field": "v", "query_vector": [1], "num_candidates": 9}
CASES = (
    Case(Reason.NO_MAPPING, "/other/_search", reply=unresolved),
    Case(Reason.MIXED_MAPPINGS, "/i,j/_search", reply=unresolved),
    Case(Reason.SIZE_0, body={**MATCH, "size": 0}),
    Case(Reason.BEYOND_WINDOW, body={**MATCH, "from": 4}),
    Case(Reason.SORTED, body={**MATCH, "sort": ["n"]}),
    Case(Reason.SCROLL, "/_search/scroll"),
    Case(Reason.SEARCH_AFTER, body={**MATCH, "search_after": [1]}),
    Case(Reason.NO_QUERY_TEXT, body={"query": {"match_all": {}}}),
    Case(Reason.DISABLED, body={**MATCH, "ext": {"rescore": {"enabled": False}}}),
    Case(Reason.BODY_FORMAT, headers=("Content-Type: application/yaml",)),
    Case(Reason.UNPARSABLE, body=b'{"query"'),
    Case(Reason.ANSWER_FORMAT, "/i/_search?format=yaml"),
    Case(Reason.BAD_PARAMETERS, body={**MATCH, "size": "ten"}),
    Case(Reason.STORED_FIELDS_NONE, body={**MATCH, "stored_fields": "_none_"}),
    Case(Reason.RANK_WINDOW, body={"retriever": {"rrf": {"retrievers": [RETRIEVER], "rank_window_size": 5}}}),
    Case(Reason.KNN_SIZE, body={**MATCH, "knn": NEIGHBOURS, "from": 3, "size": 3}),
    Case(Reason.RESCORE_WINDOW, body={**MATCH, "rescore": {"window_size": 3, "query": {"score_mode": "min"}}}),
    Case(Reason.SEARCH_PIPELINE, "/i/_search?search_pipeline=p"),
    Case(Reason.FILTER_PATH, "/i/_search?filter_path=" + ",".join(f"a{i}.*.**.b" for i in range(4000))),
    Case(Reason.SLICED, body={**MATCH, "slice": {"id": 0, "max": 2}}),
    Case(Reason.BAD_OVERRIDE, body={**MATCH, "ext": {"rescore": {"nope": 1}}}),
    Case(Reason.BODY_TOO_LARGE, body={**MATCH, "_name": "x" * 3000}, settings={"max_search_body": 2048}),
    Case(Reason.BODY_ENCODING, headers=("Content-Encoding: br",)),
    Case(Reason.TOO_MANY_SEARCHES, "/_msearch", lines(*[MATCH] * 1001)),
    Case(Reason.SEVERAL_REASONS, "/_msearch", lines({"size": 0}, {**MATCH, "sort": ["n"]})),
    Case(Reason.KNN_SEARCH, "/i/_knn_search"),
    Case(Reason.VECTOR_TILE, "/i/_mvt/f/1/1/1"),
    Case(Reason.RANK_EVAL, "/i/_rank_eval"),
    Case(Reason.ROLLUP, "/i/_rollup_search"),
    Case(Reason.EQL, "/i/_eql/search"),
    Case(Reason.FLEET_SEARCH, "/i/_fleet/_fleet_msearch"),
    Case(Reason.SEARCH_APPLICATION, "/_application/search_application/x/_search"),
    Case(Reason.PIT_OPEN, "/i/_pit?keep_alive=1m", body=b"", reply=answered(PIT)),
    Case(Reason.PIT_UNKNOWN, "/_search", body={**MATCH, "pit": {"id": "p"}}, reply=answered(NONE)),
    Case(Reason.TEMPLATE_FAILED, "/i/_search/template", body={"id": "x"}, reply=answered({}, 404)),
    Case(Reason.TEMPLATE_PARAMETERS, "/i/_search/template?size=3", body={"id": "x"}),
    Case(Reason.ASYNC_UNKNOWN, "/_async_search/x", method="GET", body=b""),
    Case(Reason.ASYNC_RUNNING, "/i/_async_search", reply=answered({"id": "x", "is_running": True, "response": FOUND})),
    Case(Reason.MODEL_LOADING, unready=Reason.MODEL_LOADING),
    Case(Reason.MODEL_UNAVAILABLE, unready=Reason.MODEL_UNAVAILABLE),
    Case(Reason.CIRCUIT_OPEN, give=raising(BackendFailed("broken")), before=5, settings={"lists": {"ttl": 0}}),
    Case(Reason.REMEMBERED, give=raising(BackendFailed("broken")), before=1),
    Case(Reason.OVERLOADED, give=raising(Overloaded("no time"))),
    Case(Reason.BUDGET, give=lambda request: [0.0, 1.0], mapping={"min_window": 2}),
    Case(Reason.SPLIT_CONTROL, mapping={"mode": "split", "split_percent": 50}),
    Case(Reason.SHADOW, mapping={"mode": "shadow"}),
    Case(Reason.NO_HITS, reply=answered(NONE)),
    Case(Reason.NO_DOCUMENT_TEXT, body={"query": {"match": {"u": "fox"}}}, mapping={"fields": ["u"]}),
    Case(Reason.WIDENED_PARTIAL, reply=answered({**FOUND, "timed_out": True})),
    Case(Reason.WIDENED_REFUSED, reply=answered({"error": {}}, 400)),
    Case(Reason.UNREADABLE_ANSWER, reply=answered(b"no JSON")),
    Case(Reason.ANSWER_TOO_LARGE, settings={"max_search_answer": 64}),
    Case(Reason.UPSTREAM_ERROR, reply=answered({"error": {}}, 404)),
    Case(Reason.DEADLINE, give=raising(DeadlineExceeded("late"))),
    Case(Reason.QUEUE_FULL, give=raising(QueueFull("full"))),
    Case(Reason.SCORER_DOWN, give=raising(ScorerDown("gone"))),
    Case(Reason.MODEL_ERROR, give=raising(BackendFailed("broken"))),
    Case(Reason.INTERNAL_ERROR, give=raising(ZeroDivisionError("a bug"))),
    Case(Reason.UPSTREAM_UNREACHABLE, upstream={"urls": ["http://127.0.0.1:{free}"]}),
    Case(Reason.UPSTREAM_TIMEOUT, reply=lambda path: b"", upstream={"read_timeout": 0.2}),
    Case(Reason.UPSTREAM_RESET, reply=lambda path: b"close"),
    Case(Reason.UPSTREAM_CUT, reply=lambda path: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}close"),
    Case(
        Reason.UPSTREAM_BUSY,
        reply=lambda path: b"",
        upstream={"max_connections": 1, "pool_timeout": 0.1},
        beside=1,
    ),
    Case(Reason.UPSTREAM_PROTOCOL, reply=lambda path: b"HTTP/1.1 OK\r\n\r\n"),
)


def test_every_reason_has_a_case() -> None:
    assert {case.reason for case in CASES} == set(Reason)


class Scripted(Recorder):
    """Answers by the request's path; an answer that ends in `close` ends the connection in its place."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self._reply = reply

    async def reply(self, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        said = self._reply(self.heads[-1].split(b" ")[1].decode())
        writer.write(said.removesuffix(b"close"))
        await writer.drain()
        if said.endswith(b"close"):
            writer.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def config(case: Case, url: str) -> Config:
    listener = {"host": "127.0.0.1", "port": 0}
    upstream = {"urls": [url], "dialect": "elasticsearch", **case.upstream}
    upstream["urls"] = [each.replace("{free}", str(free_port())) for each in upstream["urls"]]
    indices = {"i": {"fields": ["t"], "window_size": 4, "timeout": "60s", **case.mapping}, "j": {"fields": ["u"]}}
    settings = {"listen": listener, "admin": listener, "upstream": upstream, "indices": indices, **case.settings}
    return Config.model_validate(settings)


def bytes_of(case: Case) -> bytes:
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    typed = any(line.startswith("Content-Type") for line in case.headers) or not body
    kind = () if typed else ("Content-Type: application/json",)
    return request(case.target, *case.headers, *kind, method=case.method, body=body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
async def test_header_metric_log_and_documentation_agree(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sidecar.search")
    async with recording(Scripted(case.reply)) as upstream:
        sidecar = Sidecar(config(case, upstream.url), GivenScorer(case.give, unready=case.unready))
        await sidecar.start()
        beside: list[asyncio.Task[bytes]] = []
        try:
            for _ in range(case.before):
                await say(sidecar.port, bytes_of(case))
            beside += [asyncio.create_task(say(sidecar.port, bytes_of(case))) for _ in range(case.beside)]
            await asyncio.gather(*(upstream.arrived.wait() for _ in beside))
            caplog.clear()
            answer = await say(sidecar.port, bytes_of(case))
        finally:
            for each in beside:
                each.cancel()
            await sidecar.close()
    found = route(case.method, case.target)
    assert found is not None
    [header] = re.findall(rb"(?m)^X-Rescore: (.*)\r$", answer)
    outcome, *details = header.decode().split("; ")
    assert f"reason={case.reason}" in details
    assert (outcome == "reranked") == (case.reason == Reason.BUDGET)
    [line] = [each for each in caplog.records if each.getMessage().startswith("search ")]
    told = line.__dict__["fields"]
    assert (told["outcome"], told["reason"], told["endpoint"]) == (outcome, case.reason, found.endpoint.name)
    labels = f'endpoint="{found.endpoint.name}",mapping="[^"]*",outcome="{outcome}",reason="{case.reason}"'
    assert re.search(rf"(?m)^sidecar_searches_total{{{labels}}} 1\.0$", sidecar.metrics.render().decode())
    assert f"| `{case.reason}` | {case.reason.description} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("target", ["/i/_count", "/i/_doc/1", "/"])
async def test_answers_of_no_search_have_no_x_rescore(target: str) -> None:
    for upstream in ({}, {"urls": ["http://127.0.0.1:{free}"]}):
        case = Case(Reason.SORTED, target, method="GET", body=b"", upstream=upstream)
        async with recording(Scripted(case.reply)) as node:
            sidecar = Sidecar(config(case, node.url), GivenScorer(falling))
            await sidecar.start()
            answer = await say(sidecar.port, bytes_of(case))
            await sidecar.close()
        assert answer.startswith(b"HTTP/1.1 502" if upstream else b"HTTP/1.1 200")
        assert b"X-Rescore" not in answer
        assert "sidecar_searches_total{" not in sidecar.metrics.render().decode()


async def test_circuits_and_searches_refused_for_a_failure_have_metrics_of_their_own() -> None:
    case = Case(Reason.MODEL_ERROR, give=raising(BackendFailed("broken")), settings={"on_failure": "error"})
    async with recording(Scripted(case.reply)) as node:
        sidecar = Sidecar(config(case, node.url), GivenScorer(case.give))
        await sidecar.start()
        answers = [await say(sidecar.port, bytes_of(case)) for _ in range(6)]
        await sidecar.close()
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"503"] * 5 + [b"200"]
    shown = sidecar.metrics.render().decode()
    page = PAGE.read_text("utf-8")
    for name, labels, value in (
        ("sidecar_refused_searches_total", 'mapping="i",reason="model_error"', 5),
        ("sidecar_circuit_state", 'mapping="i",model="default"', 2),
        ("sidecar_circuit_changes_total", 'mapping="i",model="default",state="open"', 1),
    ):
        assert f"{name}{{{labels}}} {value}.0\n" in shown
        assert f"| `{name}` |" in page
