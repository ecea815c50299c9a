"""A ``Scorer`` that asks the machine's scoring process. While there is none, searches keep Elasticsearch's order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar.errors import DeadlineExceeded, QueueFull, ScorerDown
from sidecar.reasons import Reason
from sidecar.scoring.scorer import ScoreRequest, Scores
from sidecar.scoring.shared.wire import FROM_SCORER, Ask, Cancel, Failed, Frames, FromScorer, State, frame, raised

_DOWN = "the scoring process is not there; it is started again"
_BUFFER = 32 << 20
"""Bytes of requests that may wait for a scoring process that does not read, before more are refused."""


class SharedScorer:
    """Implements ``Scorer`` over a connection that ``connect`` is given, again and again where it is lost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connection: _Connection | None = None
        self._was_ready = False
        self.silent = False
        """Whether the scoring process is known not to answer anybody."""

    async def connect(self, link: socket.socket) -> None:
        """Use a connection to a scoring process from now on."""
        connection = _Connection()
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=link)
        before, self._connection = self._connection, connection
        if before is not None:
            self._was_ready = self._was_ready or before.was_ready
            before.close()

    @property
    def unready(self) -> Reason | None:
        """Why nothing can be scored now; None where it can."""
        connection = self._connection
        if connection is not None and connection.open and connection.unready is None:
            return Reason.SCORER_DOWN if self.silent else None
        self._was_ready = self._was_ready or (connection is not None and connection.was_ready)
        if self._was_ready:
            return Reason.SCORER_DOWN
        return Reason.MODEL_LOADING if connection is None else connection.unready

    async def score(self, request: ScoreRequest) -> Scores:
        """Score one request.

        Raises:
            DeadlineExceeded: the deadline passed first.
            ScorerDown: the scoring process is not there, or ended.
            QueueFull: too much waits for it.
            ScoringError: what the scoring process raised.
        """
        if self._connection is None or not self._connection.open:
            raise ScorerDown(_DOWN)
        left = None if request.deadline == float("inf") else max(0.0, request.deadline - self._clock())
        try:
            return await asyncio.wait_for(self._connection.ask(request), left)
        except TimeoutError as late:
            raise DeadlineExceeded("the time allowed for scoring ran out") from late

    async def score_many(self, requests: Sequence[ScoreRequest]) -> list[Scores | BaseException]:
        """Score several requests in common batches; failures are returned in place."""
        return await asyncio.gather(*map(self.score, requests), return_exceptions=True)

    async def start(self) -> None:
        """Do nothing: the scoring process loads the models."""

    async def close(self) -> None:
        """Leave the scoring process; what waits is given up."""
        if self._connection is not None:
            self._connection.close()

    def describe(self) -> Mapping[str, Any]:
        """Say nothing: the scoring process describes itself."""
        return {}

    def stats(self) -> Mapping[str, float]:
        """Count nothing: the scoring process does."""
        return {}


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.unready: Reason | None = Reason.MODEL_LOADING
        self.was_ready = False
        self._frames = Frames()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Scores]] = {}
        self._transport: Any = None
        self._full = False

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(_BUFFER)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self._take(FROM_SCORER.decode(message))

    def _take(self, message: FromScorer) -> None:
        if isinstance(message, State):
            self.unready = message.unready
            self.was_ready = self.was_ready or message.unready is None
            return
        waiting = self._waiting.get(message.number)
        if waiting is None or waiting.done():
            return
        if isinstance(message, Failed):
            waiting.set_exception(raised(message))
        else:
            waiting.set_result(message.scores)

    async def ask(self, request: ScoreRequest) -> Scores:
        if self._transport is None or self._full:
            raise QueueFull("the scoring process does not keep up")
        number = next(self._numbers)
        waiting: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._transport.write(frame(Ask(number, request)))
            return await waiting
        except asyncio.CancelledError:
            self._say(Cancel(number))
            raise
        finally:
            del self._waiting[number]

    def _say(self, message: Cancel) -> None:
        if self._transport is not None and self.open:
            self._transport.write(frame(message))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it; those who wait learn that the scoring process is not there."""
        for waiting in self._waiting.values():
            with contextlib.suppress(asyncio.InvalidStateError):
                waiting.set_exception(ScorerDown(_DOWN))
        if self._transport is not None:
            self._transport.close()
