"""Whatever hangs between Elasticsearch's first answer and ours, the client is answered.

Nothing here would end without the deadline; that it is kept to the tenth of a second is measured elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.reasons import Reason
from sidecar.rescoring.aside import SMALL
from sidecar.rescoring.deadline import Deadline
from sidecar.rescoring.outcome import Answered, Outcome, Passed, Rejected
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.rescoring.test_fail_open import Node, ask, names, rescorer
from tests.scorers import GivenScorer, falling

SEARCH = {"query": {"match": {"t": "x"}}, "size": 2}
HIDDEN = SEARCH | {"_source": False}  # the texts have to be looked up
BEYOND = SEARCH | {"size": 6}  # more than the window: the rest of the page is another request
SHORT = {"timeout": 0.05}


class Silent(Node):
    """The stand-in for Elasticsearch, which never answers requests whose target or body holds certain bytes."""

    def __init__(self, *silent: bytes, texts: int = 4) -> None:
        super().__init__()
        self.silent = silent
        self.texts = texts

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer, unless the test wants silence."""
        if any(part in target.encode() + (body or b"") for part in self.silent):
            await asyncio.Event().wait()
        answer = await super().fetch(method, target, body)
        return UpstreamAnswer(status=200, headers=[], body=answer.body.replace(b'"_source"', b'"_ignored"'))


class Plain(Node):
    """The stand-in, which never answers for what comes after the window."""

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer for the window."""
        if b'"from"' in (body or b""):
            await asyncio.Event().wait()
        return await super().fetch(method, target, body)


class Large(Node):
    """The stand-in with answers that are taken apart, and written, beside the event loop."""

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer with blanks."""
        found = await super().fetch(method, target, body)
        return UpstreamAnswer(status=200, headers=[], body=found.body + b" " * SMALL)


class Stubborn(GivenScorer):
    """Keeps no deadline, and ignores that it is cancelled."""

    async def score(self, request: ScoreRequest) -> Scores:
        """Never return before the test is over."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return await super().score(request)


@contextlib.contextmanager
def held() -> Iterator[threading.Event]:
    """Yield what threads of the test wait for; it is set at the end."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


async def answer(
    node: Node, body: Any, model: GivenScorer | None = None, target: str = "/i/_search", **settings: Any
) -> Outcome:
    which, _ = rescorer(model or GivenScorer(falling), **({"mapping": SHORT} | settings))
    async with asyncio.timeout(20):
        return await ask(
            which, node, target=target, body=body if isinstance(body, bytes) else json.dumps(body).encode()
        )


async def test_texts_that_never_come_cost_the_order_alone() -> None:
    got = await answer(Silent(b"track_total_hits"), HIDDEN)
    assert isinstance(got, Answered)
    assert (names(got), got.record.header()) == (["a", "b"], "failed; reason=deadline")


async def test_a_rest_of_the_page_that_never_comes_has_the_client_s_own_request_sent() -> None:
    got = await answer(Plain(), BEYOND)
    assert isinstance(got, Passed)
    assert (got.record.header(), got.body) == ("failed; reason=deadline", None)


async def test_a_rest_of_the_page_that_fails_has_the_client_s_own_request_sent() -> None:
    class Failing(Node):
        async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
            if b'"from"' in (body or b""):
                raise UpstreamError("reset", reason=Reason.UPSTREAM_RESET)
            return await super().fetch(method, target, body)

    got = await answer(Failing(), BEYOND)
    assert isinstance(got, Passed)
    assert got.record.header() == "passed; reason=widened_refused"


async def test_an_answer_that_is_read_too_slowly_has_the_client_s_own_request_sent() -> None:
    slow = Node(problem=UpstreamError("reading the answer took too long", reason=Reason.DEADLINE))
    for target, body in (("/i/_search", SEARCH), ("/_msearch", several(SEARCH))):
        got = await answer(slow, body, target=target)
        assert isinstance(got, Passed)
        assert got.record.header() == "failed; reason=deadline"


async def test_a_scorer_that_keeps_no_deadline_is_not_waited_for() -> None:
    got = await answer(Node(), SEARCH, Stubborn(falling))
    assert isinstance(got, Answered)
    assert (names(got), got.record.header()) == (["a", "b"], "failed; reason=deadline")


async def test_the_time_to_read_counts_in_the_deadline() -> None:
    class Slow(Node):
        async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
            found = await super().fetch(method, target, body)
            return UpstreamAnswer(status=200, headers=[], body=found.body, reading=1.5)

    deadlines: list[float] = []

    def give(request: ScoreRequest) -> list[float]:
        deadlines.append(request.deadline)
        return falling(request)

    await answer(Slow(), SEARCH, GivenScorer(give), mapping={"timeout": 2.0}, clock=lambda: 100.0)
    await answer(
        Slow(), several(SEARCH), GivenScorer(give), mapping={"timeout": 2}, clock=lambda: 100.0, target="/_msearch"
    )
    assert deadlines == [100.5, 100.5]


def several(*searches: Any) -> bytes:
    return b"".join(b'{"index":"i"}\n' + json.dumps(search).encode() + b"\n" for search in searches)


async def test_of_several_searches_only_those_that_are_late_are_not_rescored() -> None:
    late = HIDDEN | {"ext": {"rescore": {"timeout_ms": 50}}}
    node = Hidden(b"track_total_hits")
    got = await answer(node, several(SEARCH, late), target="/_msearch", mapping={"timeout": 60})
    assert isinstance(got, Answered)
    hits = [item["hits"]["hits"] for item in json.loads(got.body)["responses"]]
    assert [[hit["_id"] for hit in found] for found in hits] == [["d", "c"], ["a", "b"]]
    assert [(part.outcome, part.reason) for part in got.record.parts] == [("reranked", None), ("failed", "deadline")]


class Hidden(Node):
    """The stand-in, silent like ``Silent``; searches that want no `_source` get none."""

    def __init__(self, *silent: bytes) -> None:
        super().__init__()
        self.silent = silent

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer, unless the test wants silence."""
        if any(part in (body or b"") for part in self.silent):
            await asyncio.Event().wait()
        found = await super().fetch(method, target, body)
        items = json.loads(found.body)
        for search, item in zip((body or b"").split(b"\n")[1::2], items["responses"], strict=True):
            for hit in item["hits"]["hits"] if b'"_source": false' in search else []:
                del hit["_source"]
        return UpstreamAnswer(status=200, headers=[], body=json.dumps(items).encode())


@pytest.mark.parametrize("target", ["/i/_search", "/_msearch"])
async def test_with_on_failure_error_a_late_search_is_an_error_that_is_counted(target: str) -> None:
    which, told = rescorer(GivenScorer(falling), mapping=SHORT, on_failure="error")
    body = several(BEYOND) if "_msearch" in target else json.dumps(BEYOND).encode()
    async with asyncio.timeout(20):
        got = await ask(which, Plain(), target=target, body=body)
    message = "rescoring failed [deadline] and the sidecar's on_failure is [error]"
    if isinstance(got, Rejected):
        assert (got.status, got.message) == (503, message)
    else:
        assert isinstance(got, Answered)
        [item] = json.loads(got.body)["responses"]
        assert (item["status"], item["error"]["reason"]) == (503, message)
    assert [(record.outcome, record.reason, record.refused) for record in told.searches] == [
        ("failed", "deadline", True)
    ]


@pytest.mark.parametrize(
    ("silent", "target", "body", "reason"),
    [
        (b"_field_caps", "/alias/_search", SEARCH, "no_mapping"),
        (b'"aggs"', "/_search", SEARCH | {"pit": {"id": "p"}}, "pit_unknown"),
        (b"_field_caps", "/_msearch", several(SEARCH).replace(b'"i"', b'"alias"'), "no_mapping"),
    ],
)
async def test_what_a_plan_needs_to_know_is_not_waited_for_for_ever(
    silent: bytes, target: str, body: Any, reason: str
) -> None:
    got = await answer(Silent(silent), body, target=target)
    assert isinstance(got, Passed)
    assert got.record.header() == f"passed; reason={reason}"


async def test_a_template_that_is_never_rendered_goes_on_as_it_came() -> None:
    got = await answer(Silent(b"_render"), {"id": "t"}, target="/i/_search/template")
    assert isinstance(got, Passed)
    assert got.record.header() == "passed; reason=template_failed"


async def test_an_answer_for_which_no_thread_is_free_has_the_client_s_own_request_sent() -> None:
    loop = asyncio.get_running_loop()
    with held() as event:
        waiting = [loop.run_in_executor(None, event.wait) for _ in range(64)]
        got = await answer(Large(), SEARCH)
    assert isinstance(got, Passed)
    assert got.record.header() == "failed; reason=deadline"
    await asyncio.gather(*waiting)


async def test_writing_that_hangs_gives_the_hits_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    with held() as event:
        monkeypatch.setattr("sidecar.rescoring.pipeline.Pipeline._rescored", lambda *given: event.wait())
        got = await answer(Large(), SEARCH, mapping={"timeout": 1})
    assert isinstance(got, Answered)
    assert (names(got), got.record.header()) == (["a", "b"], "failed; reason=deadline")


async def test_late_work_is_cancelled_and_what_it_raises_then_is_nobody_s() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
            raise ZeroDivisionError

    assert await Deadline(0.01, lambda: 0.0).meet(work()) is Reason.DEADLINE
    await ended.wait()


async def test_work_of_a_client_that_left_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(Deadline(3600.0, lambda: 0.0).meet(work()))
    await begun.wait()
    task.cancel()
    await ended.wait()
