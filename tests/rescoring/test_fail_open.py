"""Whatever goes wrong on our side, the client gets Elasticsearch's own answer and the reason (law 1)."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.config.model import Config
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import BackendFailed, DeadlineExceeded, ModelStalled, QueueFull, UpstreamError
from sidecar.observing.records import SearchStart, watched
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.outcome import Answered, Outcome, Passed, Rejected
from sidecar.rescoring.rescorer import Rescorer
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.rescoring.conftest import Request, Told
from tests.scorers import Give, GivenScorer, falling, raising

TEXTS = ["a", "b", "c", "d"]


class Node:
    """A stand-in for Elasticsearch: four hits, and whatever status the test wants for widened searches."""

    def __init__(self, status: int = 200, body: bytes | None = None, problem: Exception | None = None) -> None:
        self.status, self.body, self.problem = status, body, problem
        self.bodies: list[bytes] = []
        self.targets: list[str] = []

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer a search, or each of an `_msearch`."""
        del method
        self.bodies.append(body or b"")
        self.targets.append(target)
        if self.problem is not None:
            raise self.problem
        if self.body is not None or self.status != 200:
            return UpstreamAnswer(status=self.status, headers=[], body=self.body or b"{}")
        if "_msearch" not in target:
            return UpstreamAnswer(status=200, headers=[], body=json.dumps(_answer(body or b"")).encode())
        searches = (body or b"").split(b"\n")[1::2]
        answer = {"took": 1, "responses": [_answer(search) | {"status": 200} for search in searches]}
        return UpstreamAnswer(status=200, headers=[], body=json.dumps(answer).encode())


class Rendering(Node):
    """The stand-in with a template that renders to a search."""

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer a search, or render the template."""
        if target != "/_render/template":
            return await super().fetch(method, target, body)
        rendered = {"template_output": {"query": {"match": {"t": "x"}}, "size": 2}}
        return UpstreamAnswer(status=200, headers=[], body=json.dumps(rendered).encode())


def _answer(body: bytes) -> dict[str, Any]:
    asked = json.loads(body or b"{}")
    start = asked.get("from", 0)
    listed = TEXTS[start : start + asked.get("size", 10)]
    hits = [{"_index": "i", "_id": text, "_score": 1.0, "_source": {"t": text}} for text in listed]
    return {"took": 1, "hits": {"max_score": 1.0, "hits": hits}}


@dataclass
class Watched:
    """A rescorer, and the observer that is told of its searches."""

    rescorer: Rescorer
    told: Told


def rescorer(model: GivenScorer, **settings: Any) -> tuple[Watched, Told]:
    mapping = settings.pop("mapping", {})
    told = Told()
    clock = settings.pop("clock", time.monotonic)
    config = {
        "upstream": {"dialect": "elasticsearch"},
        "indices": {"i": {"fields": ["t"], "window_size": 4, "timeout": "60s", **mapping}},
    } | settings
    return Watched(Rescorer(Config.model_validate(config), model, told, clock), told), told


async def ask(
    which: Watched, node: Node, *, target: str = "/i/_search", body: bytes | None = None, **headers: str
) -> Outcome:
    """Ask as the proxy does."""
    body = json.dumps({"query": {"match": {"t": "x"}}, "size": 2}).encode() if body is None else body
    named = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return await search(which, Request(node, target, body, named))


async def search(which: Watched, request: Request) -> Outcome:
    found = route("POST", request.target)
    assert found is not None
    with watched(which.told, SearchStart(endpoint=found.endpoint.name, headers=request.headers)) as tell:
        outcome = await which.rescorer.search(found, request)
        tell(outcome.record)
    return outcome


def passed(outcome: Outcome) -> tuple[str | None, bytes | None]:
    """Return the reason and the edited body of a search that goes on."""
    assert isinstance(outcome, Passed)
    return outcome.record.reason, outcome.body


def names(answer: Outcome) -> list[str]:
    assert isinstance(answer, Answered)
    return [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]


async def test_scores_reorder() -> None:
    which, told = rescorer(GivenScorer(falling))
    answer = await ask(which, Node(), x_opaque_id="me")
    assert names(answer) == ["d", "c"]
    [record] = told.searches
    assert (record.outcome, record.opaque_id, record.endpoint, record.mapping) == ("reranked", "me", "search", "i")


@pytest.mark.parametrize(
    ("give", "reason"),
    [
        (lambda request: [1.0], "model_error"),
        (lambda request: [1.0] * 5, "model_error"),
        (lambda request: [1.0, 2.0, float("nan"), 4.0], "model_error"),
        (lambda request: [1.0, 2.0, float("inf"), 4.0], "model_error"),
        (raising(DeadlineExceeded("late")), "deadline"),
        (raising(QueueFull("full")), "queue_full"),
        (raising(BackendFailed("broken")), "model_error"),
        (raising(RuntimeError("a bug")), "internal_error"),
        (raising(MemoryError()), "internal_error"),
    ],
)
async def test_a_failure_costs_the_order_alone(give: Give, reason: str) -> None:
    which, told = rescorer(GivenScorer(give))
    answer = await ask(which, Node())
    assert names(answer) == ["a", "b"]
    assert isinstance(answer, Answered)
    assert answer.record.header() == f"failed; reason={reason}"
    assert [record.reason for record in told.searches] == [reason]
    several = await ask(which, Node(), target="/_msearch", body=_two())
    assert isinstance(several, Answered)
    assert several.record.header() == "failed; reranked=0; passed=0; failed=2"
    hits = [item["hits"]["hits"] for item in json.loads(several.body)["responses"]]
    assert [[hit["_id"] for hit in found] for found in hits] == [["a", "b"], ["a", "b", "c"]]


def _two() -> bytes:
    searches = [{"query": {"match": {"t": "x"}}, "size": size} for size in (2, 3)]
    return b"".join(b'{"index":"i"}\n' + json.dumps(search).encode() + b"\n" for search in searches)


async def test_on_failure_error_is_a_503_that_says_why() -> None:
    which, _ = rescorer(GivenScorer(raising(QueueFull("full"))), on_failure="error")
    outcome = await ask(which, Node())
    reason = "rescoring failed [queue_full] and the sidecar's on_failure is [error]"
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.message) == (503, reason)
    several = await ask(which, Node(), target="/_msearch", body=_two())
    assert isinstance(several, Answered)
    items = json.loads(several.body)["responses"]
    assert [(item["status"], item["error"]["reason"]) for item in items] == [(503, reason)] * 2


async def test_one_failure_of_several_leaves_the_others_rescored() -> None:
    def give(request: ScoreRequest) -> list[float]:
        if request.query == "bad":
            raise BackendFailed("broken")
        return falling(request)

    which, told = rescorer(GivenScorer(give))
    searches = [b'{"query":{"match":{"t":"%s"}},"size":1}' % text for text in (b"bad", b"good")]
    body = b"".join(b'{"index":"i"}\n' + search + b"\n" for search in searches)
    answer = await ask(which, Node(), target="/_msearch", body=body)
    assert isinstance(answer, Answered)
    assert answer.record.header() == "failed; reranked=1; passed=0; failed=1"
    assert [item["hits"]["hits"][0]["_id"] for item in json.loads(answer.body)["responses"]] == ["a", "d"]
    assert [(record.outcome, record.endpoint) for record in told.searches] == [
        ("failed", "msearch"),
        ("reranked", "msearch"),
    ]


async def test_a_bug_of_ours_sends_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    which, told = rescorer(GivenScorer(falling))

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("sidecar.rescoring.fetching.window", broken)
    with_ext = b'{"query":{"match":{"t":"x"}},"ext":{"rescore":{}}}'
    assert passed(await ask(which, Node(), body=with_ext)) == (Reason.INTERNAL_ERROR, b'{"query":{"match":{"t":"x"}}}')
    assert [(record.outcome, record.reason) for record in told.searches] == [("failed", "internal_error")]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Node(status=400, body=b'{"error":{}}'), "widened_refused"),
        (Node(status=429, body=b'{"error":{"type":"circuit_breaking_exception"}}'), "widened_refused"),
        (Node(body=b"not json"), "unreadable_answer"),
        (Node(body=b'{"hits":{"hits":[{"_id":"1"}],"hits":[]}}'), "unreadable_answer"),
        (Node(problem=UpstreamError("large", reason=Reason.ANSWER_TOO_LARGE)), "answer_too_large"),
    ],
)
async def test_what_the_widened_search_costs_the_original_does_not(node: Node, reason: str) -> None:
    which, _ = rescorer(GivenScorer(falling))
    with_ext = b'{"query":{"match":{"t":"x"}},"ext":{"rescore":{}}}'
    expected = (reason, b'{"query":{"match":{"t":"x"}}}')
    assert passed(await ask(which, node, body=with_ext)) == expected


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
async def test_errors_of_elasticsearch_are_its_own(status: int) -> None:
    which, told = rescorer(GivenScorer(falling))
    answer = await ask(which, Node(status=status, body=b'{"error":"e"}'))
    assert isinstance(answer, Answered)
    assert (answer.status, answer.body) == (status, b'{"error":"e"}')
    assert told.searches[0].reason == Reason.UPSTREAM_ERROR


async def test_a_cluster_that_does_not_answer_is_told_to_the_proxy() -> None:
    which, _ = rescorer(GivenScorer(falling))
    with pytest.raises(UpstreamError):
        await ask(which, Node(problem=UpstreamError("gone", reason=Reason.UPSTREAM_UNREACHABLE)))


async def test_a_model_that_keeps_failing_is_left_alone() -> None:
    model = GivenScorer(raising(BackendFailed("broken")))
    which, told = rescorer(model, lists={"ttl": 0})
    for _ in range(7):
        await ask(which, Node())
    assert model.asked == 5
    assert [record.reason for record in told.searches] == ["model_error"] * 5 + ["circuit_open"] * 2


@pytest.mark.parametrize("problem", [DeadlineExceeded("late"), QueueFull("full")])
async def test_late_searches_and_full_queues_open_no_circuit(problem: Exception) -> None:
    model = GivenScorer(raising(problem))
    which, told = rescorer(model, lists={"ttl": 0})
    for _ in range(9):
        await ask(which, Node())
    assert model.asked == 9
    assert set(which.rescorer.breakers.states().values()) == {0.0}
    assert {record.outcome for record in told.searches} == {"failed"}


async def test_late_searches_of_a_model_that_gives_nobody_anything_open_its_circuit() -> None:
    which, told = rescorer(GivenScorer(raising(ModelStalled("late"))), lists={"ttl": 0})
    for _ in range(6):
        await ask(which, Node())
    assert [record.reason for record in told.searches] == ["deadline"] * 5 + ["circuit_open"]


async def test_a_model_that_fails_for_one_mapping_serves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def give(request: ScoreRequest) -> list[float]:
        if request.query == "bad" and now[0] < 9:
            raise BackendFailed("broken")
        return falling(request)

    now = [0.0]
    models = {"models": {"large": {"model": "bundled"}}}
    mappings = {"i": {"fields": ["t"]}, "j": {"fields": ["t"]}}
    which, told = rescorer(GivenScorer(give), engine=models, indices=mappings, clock=lambda: now[0], lists={"ttl": 0})
    bad = b'{"query":{"match":{"t":"bad"}}}'
    with caplog.at_level("INFO"):
        for _ in range(6):
            await ask(which, Node(), body=bad)
        await ask(which, Node(), target="/j/_search")
        await ask(which, Node(), body=b'{"query":{"match":{"t":"x"}},"ext":{"rescore":{"model":"large"}}}')
        assert [record.reason for record in told.searches[5:]] == ["circuit_open", None, None]
        states = {("i", "default"): 2.0, ("j", "default"): 0.0, ("i", "large"): 0.0}
        assert which.rescorer.breakers.states() == states
        now[0] = 9.0
        await ask(which, Node(), body=bad)
    assert which.rescorer.breakers.states() == states | {("i", "default"): 0.0}
    changes = {("i", "default", state): 1 for state in ("open", "half_open", "closed")}
    assert which.rescorer.breakers.changes() == changes
    said = [record.fields for record in caplog.records if "circuit breaker" in record.message]  # type: ignore[attr-defined]
    assert [(line["mapping"], line["model"], line["state"]) for line in said] == [
        ("i", "default", "open"),
        ("i", "default", "half_open"),
        ("i", "default", "closed"),
    ]


async def test_scores_that_cannot_be_used_open_the_breaker_too() -> None:
    model = GivenScorer(lambda request: [1.0])
    which, told = rescorer(model, lists={"ttl": 0})
    for _ in range(6):
        await ask(which, Node())
    assert [record.reason for record in told.searches] == ["model_error"] * 5 + ["circuit_open"]


async def test_a_lost_probe_leaves_the_next_search_to_probe() -> None:
    now = [0.0]
    hanging = asyncio.Event()

    class Hanging(GivenScorer):
        async def score(self, request: ScoreRequest) -> Scores:
            if now[0] == 10.0:
                hanging.set()
                await asyncio.Event().wait()
            return await super().score(request)

    model = Hanging(lambda request: [float("nan")] if now[0] < 10.0 else falling(request))
    which, told = rescorer(model, clock=lambda: now[0], lists={"ttl": 0})
    for _ in range(5):
        await ask(which, Node())
    now[0] = 10.0
    await ask(which, Node(status=404))  # Elasticsearch has nothing to score
    probe = asyncio.create_task(ask(which, Node()))
    await hanging.wait()
    assert passed(await ask(which, Node())) == (Reason.CIRCUIT_OPEN, None)  # one probe at a time
    probe.cancel()  # its client went away
    await asyncio.gather(probe, return_exceptions=True)
    now[0] = 10.1
    assert names(await ask(which, Node())) == ["d", "c"]
    assert [record.reason for record in told.searches[5:]] == ["upstream_error", "circuit_open", None]


async def test_a_model_that_is_not_configured_is_the_client_s_mistake() -> None:
    model = GivenScorer(falling)
    which, told = rescorer(model, engine={"models": {"large": {"model": "bundled"}}})
    reason = '[ext.rescore.model] must be one of [default, large], found ["nope"]'
    searches = [{"query": {"match": {"t": "x"}}, "ext": {"rescore": {"model": name}}} for name in ("nope", "large")]
    outcome = await ask(which, Node(), body=json.dumps(searches[0]).encode())
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.message) == (400, reason)
    lines = b"".join(b'{"index":"i"}\n' + json.dumps(search).encode() + b"\n" for search in searches)
    several = await ask(which, Node(), target="/_msearch", body=lines)
    assert isinstance(several, Answered)
    assert [item["status"] for item in json.loads(several.body)["responses"]] == [400, 200]
    assert [record.reason for record in told.searches] == ["bad_override", "bad_override", None]
    assert model.models == ["large"]


async def test_until_the_model_is_loaded_searches_pass() -> None:
    which, _ = rescorer(GivenScorer(falling, unready=Reason.MODEL_LOADING))
    assert passed(await ask(which, Node())) == (Reason.MODEL_LOADING, None)


@pytest.mark.parametrize("text", ["", "  "])
async def test_hits_without_text_need_no_model(text: str) -> None:
    model = GivenScorer(falling)
    which, told = rescorer(model)
    body = json.dumps({"took": 1, "hits": {"hits": [{"_id": "1", "_source": {"t": text}}]}}).encode()
    await ask(which, Node(body=body))
    assert (model.asked, told.searches[0].reason) == (0, "no_document_text")


async def test_a_search_that_found_nothing_needs_no_model() -> None:
    which, told = rescorer(GivenScorer(falling))
    await ask(which, Node(body=b'{"took":1,"hits":{"hits":[]}}'))
    assert told.searches[0].reason == Reason.NO_HITS


async def compared(which: Watched) -> None:
    """Wait for the comparisons of `mode: shadow`."""
    for task in list(which.rescorer._shadow._running):
        await task


@pytest.mark.parametrize("target", ["/i/_search", "/i/_search/template", "/i/_async_search"])
async def test_in_shadow_mode_the_client_s_request_goes_on_and_the_window_is_compared(target: str) -> None:
    which, told = rescorer(GivenScorer(falling), mapping={"mode": "shadow"})
    node = Rendering() if "template" in target else Node()
    with_ext = b'{"query":{"match":{"t":"x"}},"size":2,"ext":{"rescore":{}}}'
    passed = await ask(which, node, target=target)
    assert isinstance(passed, Passed)
    assert (passed.record.header(), passed.record.mapping, passed.body) == ("passed; reason=shadow", "i", None)
    if "template" not in target:
        stripped = await ask(which, node, target=target, body=with_ext)
        assert isinstance(stripped, Passed)
        assert stripped.body == b'{"query":{"match":{"t":"x"}},"size":2}'
    await compared(which)
    assert {(found.mapping, found.kendall_tau, found.overlap_at_10) for found in told.shadows} == {("i", -1.0, 1.0)}
    assert all("_async_search" not in asked for asked in node.targets)
    await which.rescorer.close()


async def test_in_shadow_mode_searches_of_several_are_left_as_they_came() -> None:
    which, told = rescorer(GivenScorer(falling), mapping={"mode": "shadow"})
    passed = await ask(which, Node(), target="/_msearch", body=_two())
    assert isinstance(passed, Passed)
    assert (passed.record.header(), passed.body) == ("passed; reason=shadow", None)
    await compared(which)
    assert [found.kendall_tau for found in told.shadows] == [-1.0, -1.0]
    await which.rescorer.close()


async def test_comparisons_are_few_at_a_time_and_dropped_when_too_many_wait() -> None:
    class Held(Node):
        running = highest = 0

        async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
            self.running += 1
            self.highest = max(self.highest, self.running)
            if self.running == 4:
                held.set()
            await held.wait()
            self.running -= 1
            return await super().fetch(method, target, body)

    held = asyncio.Event()
    which, told = rescorer(GivenScorer(falling), mapping={"mode": "shadow"})
    node = Held()
    for _ in range(80):
        await ask(which, node)
    await compared(which)
    assert (len(told.shadows), node.highest) == (64, 4)
    await which.rescorer.close()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_comparison_that_fails_costs_nothing(status: int) -> None:
    which, told = rescorer(GivenScorer(raising(BackendFailed("broken"))), mapping={"mode": "shadow"})
    assert isinstance(await ask(which, Node(status=status)), Passed)
    await compared(which)
    assert told.shadows == []


async def test_split_mode_decides_by_the_header_and_each_session_alike() -> None:
    model = GivenScorer(falling)
    which, _ = rescorer(model, mapping={"mode": "split", "split_percent": 30, "split_header": "X-User"})
    with_ext = b'{"query":{"match":{"t":"x"}},"ext":{"rescore":{}}}'
    control = (Reason.SPLIT_CONTROL, b'{"query":{"match":{"t":"x"}}}')
    outcomes = [await ask(which, Node(), body=with_ext, x_user=f"user {i}") for i in range(400)]
    assert all(isinstance(outcome, Answered) or passed(outcome) == control for outcome in outcomes)
    assert 90 < sum(isinstance(outcome, Answered) for outcome in outcomes) < 150
    again = [await ask(which, Node(), body=with_ext, x_user=f"user {i}") for i in range(400)]
    assert [type(outcome) for outcome in again] == [type(outcome) for outcome in outcomes]
    assert passed(await ask(which, Node(), body=with_ext)) == control


async def test_a_new_configuration_holds_for_the_next_search() -> None:
    which, told = rescorer(GivenScorer(falling))

    class Late(Request):
        async def read(self) -> bytes | Reason:
            which.rescorer.use(Config())
            return await super().read()

    late = Late(Node(), "/i/_search", b'{"query":{"match":{"t":"x"}}}', {"content-type": "application/json"})
    assert names(await search(which, late)) == ["d", "c", "b", "a"]
    assert passed(await ask(which, Node())) == (Reason.NO_MAPPING, None)
    assert [record.outcome for record in told.searches] == ["reranked", "passed"]


@pytest.mark.parametrize(
    ("parameter", "most"), [("?max_concurrent_searches=2", 2), ("", 8), ("?max_concurrent_searches=99", 8)]
)
async def test_texts_of_several_searches_are_looked_up_a_few_at_a_time(parameter: str, most: int) -> None:
    class Counting(Node):
        running = highest = 0

        async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
            self.running += 1
            self.highest = max(self.highest, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return await super().fetch(method, target, body)

    which, _ = rescorer(GivenScorer(falling))
    node = Counting()
    search = b'{"index":"i"}\n{"query":{"match":{"t":"x"}},"_source":false,"size":4}\n'
    answer = await ask(which, node, target=f"/_msearch{parameter}", body=search * 20)
    assert isinstance(answer, Answered)
    assert (len(node.bodies), node.highest) == (21, most)
