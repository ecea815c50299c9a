"""A scorer shared over sockets behaves like the one behind it: scores, failures, deadlines and cancelled requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import pytest

from sidecar.config.model import Passages
from sidecar.errors import BackendFailed, DeadlineExceeded, ModelStalled, QueueFull, ScorerDown, ScoringError
from sidecar.reasons import Reason
from sidecar.scoring.scorer import ScoreRequest, Scores
from sidecar.scoring.shared.scoring_server import ScoringServer
from sidecar.scoring.shared.shared_scorer import SharedScorer
from sidecar.scoring.shared.wire import TO_SCORER as DECODER
from sidecar.scoring.shared.wire import Ask, Frames, frame
from tests.scorers import GivenScorer, falling, raising

ASKED = ScoreRequest(query="q", documents=["a", "b é \U0001f600", "c"])


class Waiting(GivenScorer):
    """Waits for ever, and says what becomes of it."""

    def __init__(self) -> None:
        super().__init__(falling)
        self.came, self.cancelled = asyncio.Event(), asyncio.Event()

    async def score(self, request: ScoreRequest) -> Scores:
        """Wait."""
        self.came.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return await super().score(request)


@contextlib.asynccontextmanager
async def shared(scorer: GivenScorer) -> AsyncIterator[tuple[SharedScorer, socket.socket]]:
    """A scorer behind sockets, ready, and the link to it, to be cut."""
    ours, theirs = socket.socketpair()
    server, client = ScoringServer(scorer), SharedScorer()
    server.tell(None)
    await server.serve(theirs)
    await client.connect(ours)
    while client.unready:
        await asyncio.sleep(0)
    yield client, theirs
    await client.close()


async def test_scores_come_as_they_are() -> None:
    async with shared(GivenScorer(lambda _: [1 / 3, -2.5e-7, 7.0])) as (client, _):
        found = await client.score(ASKED)
        assert found == Scores(values=[1 / 3, -2.5e-7, 7.0], model="given")
        several = await client.score_many([ASKED, ASKED])
    assert several == [found, found]


def test_a_request_is_carried_whole() -> None:
    changed: dict[str, Any] = {
        "query": "x",
        "documents": ["y"],
        "model": "m",
        "deadline": 7.5,
        "passages": Passages(size=32, stride=16),
    }
    changed |= {each.name: _other(each.default) for each in fields(ScoreRequest) if each.name not in changed}
    request = ScoreRequest(**changed)
    [message] = Frames().feed(frame(Ask(3, request)))
    assert DECODER.decode(message) == Ask(3, request)


def _other(default: object) -> object:
    return {bool: True, bytes: b"\x00\xff", type(None): 3}[type(default)]


def test_frames_are_found_however_they_are_cut() -> None:
    messages = [Ask(number, ASKED) for number in range(3)]
    sent, frames = b"".join(map(frame, messages)), Frames()
    found = [DECODER.decode(each) for i in range(len(sent)) for each in frames.feed(sent[i : i + 1])]
    assert found == messages


@pytest.mark.parametrize(
    "problem", [BackendFailed("broken"), QueueFull("full"), DeadlineExceeded("late"), ModelStalled("hangs")]
)
async def test_a_failure_arrives_as_itself(problem: ScoringError) -> None:
    async with shared(GivenScorer(raising(problem))) as (client, _):
        with pytest.raises(type(problem), match=str(problem)) as raised:
            await client.score(ASKED)
    assert raised.type is type(problem)


async def test_a_bug_behind_it_is_no_scoring_error() -> None:
    async with shared(GivenScorer(raising(ZeroDivisionError("a bug")))) as (client, _):
        with pytest.raises(RuntimeError, match="a bug"):
            await client.score(ASKED)


async def test_what_nobody_waits_for_is_given_up_behind_it() -> None:
    scorer = Waiting()
    async with shared(scorer) as (client, _):
        asking = asyncio.create_task(client.score(ASKED))
        await scorer.came.wait()
        asking.cancel()
        await scorer.cancelled.wait()


async def test_a_deadline_holds_where_the_process_behind_hangs() -> None:
    scorer = Waiting()
    async with shared(scorer) as (client, _):
        late = ScoreRequest(query="q", documents=["a"], deadline=time.monotonic() + 0.05)
        with pytest.raises(DeadlineExceeded):
            await client.score(late)
        await scorer.cancelled.wait()


async def test_a_lost_process_fails_what_waits_and_another_serves_on() -> None:
    scorer = Waiting()
    async with shared(scorer) as (client, link):
        asking = asyncio.create_task(client.score(ASKED))
        await scorer.came.wait()
        link.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ScorerDown):
            await asking
        await scorer.cancelled.wait()
        assert client.unready == Reason.SCORER_DOWN
        with pytest.raises(ScorerDown):
            await client.score(ASKED)
        ours, theirs = socket.socketpair()
        loading = ScoringServer(GivenScorer(falling))
        await loading.serve(theirs)
        await client.connect(ours)
        assert client.unready == Reason.SCORER_DOWN
        loading.tell(None)
        while client.unready:
            await asyncio.sleep(0)
        assert (await client.score(ASKED)).values == [0.0, 1.0, 2.0]


async def test_before_the_first_process_is_ready_the_model_is_loading() -> None:
    client, (ours, theirs) = SharedScorer(), socket.socketpair()
    assert client.unready == Reason.MODEL_LOADING
    server = ScoringServer(GivenScorer(falling))
    await server.serve(theirs)
    await client.connect(ours)
    assert client.unready == Reason.MODEL_LOADING
    await client.close()


async def test_a_process_that_does_not_read_is_asked_no_more() -> None:
    ours, theirs = socket.socketpair()
    client = SharedScorer()
    await client.connect(ours)
    large = ScoreRequest(query="q", documents=["x" * (40 << 20)], deadline=time.monotonic() + 0.05)
    with pytest.raises(DeadlineExceeded):
        await client.score(large)
    with pytest.raises(QueueFull):
        await client.score(ASKED)
    await client.close()
    theirs.close()
