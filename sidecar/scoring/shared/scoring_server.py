"""The scoring process's side: answers each connection's requests from one ``Scorer``."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from sidecar.errors import ScoringError
from sidecar.reasons import Reason
from sidecar.scoring.scorer import Scorer
from sidecar.scoring.shared.wire import TO_SCORER, Ask, Failed, Frames, Scored, State, ToScorer, failure, frame

_log = logging.getLogger("sidecar.scoring")


class ScoringServer:
    """Shares a scorer. It is told of each change of ``unready``, and tells it on."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._unready: Reason | None = Reason.MODEL_LOADING
        self._connections: set[_Connection] = set()

    async def serve(self, link: socket.socket) -> None:
        """Answer the requests of one more connection."""
        connection = _Connection(self._scorer, self._connections)
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=link)
        connection.say(State(self._unready))

    def tell(self, unready: Reason | None) -> None:
        """Say why nothing can be scored now, None where it can."""
        self._unready = unready
        for connection in self._connections:
            connection.say(State(unready))


class _Connection(asyncio.Protocol):
    def __init__(self, scorer: Scorer, connections: set[_Connection]) -> None:
        self._scorer = scorer
        self._connections = connections
        self._frames = Frames()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        for task in self._tasks.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self._take(TO_SCORER.decode(message))

    def _take(self, message: ToScorer) -> None:
        if isinstance(message, Ask):
            task = asyncio.create_task(self._answer(message))
            self._tasks[message.number] = task
            task.add_done_callback(lambda _: self._tasks.pop(message.number, None))
        elif message.number in self._tasks:
            self._tasks[message.number].cancel()

    async def _answer(self, ask: Ask) -> None:
        try:
            answer: Scored | Failed = Scored(ask.number, await self._scorer.score(ask.request))
        except ScoringError as problem:
            answer = failure(ask.number, problem)
        except Exception as problem:
            _log.exception("a request could not be scored")
            answer = failure(ask.number, problem)
        self.say(answer)

    def say(self, message: Scored | Failed | State) -> None:
        """Send one message, if anybody is there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))
