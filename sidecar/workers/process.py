"""One child of the first process, as that one sees it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from sidecar.config.model import Config
from sidecar.observing.families import Family
from sidecar.workers import messages
from sidecar.workers.channel import Channel

COMMAND = (sys.executable, "-m", "sidecar.workers.child")


class Process:
    """A running child. ``started`` is set once it does its work, ``failed`` says why it never did."""

    def __init__(
        self,
        role: Literal["worker", "scorer"],
        changed: Callable[[], None],
        share: Callable[[messages.Shared], None] = lambda _: None,
    ) -> None:
        self.role = role
        self.began = time.monotonic()
        self.started = False
        self.failed: str | None = None
        self.reported = messages.Reported([], unready="starting")
        self._changed = changed
        self._share = share
        self._asked: float | None = None
        self._answers: list[asyncio.Future[None]] = []
        self._child: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None

    async def begin(self, config: Config, command: Sequence[str] = COMMAND, *, require_model: bool = False) -> None:
        """Start it."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._channel = Channel(ours, self._take, self._lost)
            self._child = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is the first process's, which tells the others
            )
        self.send(messages.Begin(self.role, config, require_model))

    def _take(self, message: Any, _: list[socket.socket]) -> None:
        if isinstance(message, messages.Started):
            self.started = True
        elif isinstance(message, messages.NotStarted):
            self.failed = message.message
        elif isinstance(message, messages.Shared):
            self._share(message)
            return
        elif isinstance(message, messages.Reported):
            self.reported, self._asked = message, None
            self._answered()
        self._changed()

    def _answered(self) -> None:
        for each in self._answers:
            if not each.done():
                each.set_result(None)
        self._answers.clear()

    def _lost(self) -> None:
        self.started, self._asked = False, None
        self._answered()
        self._changed()

    @property
    def pid(self) -> int:
        """Its process id."""
        return 0 if self._child is None else self._child.pid

    @property
    def open(self) -> bool:
        """Whether it runs, as far as is known."""
        return self._channel is not None and self._channel.open

    @property
    def free(self) -> bool:
        """Whether it takes connections."""
        return self.started and self._channel is not None and self._channel.free

    @property
    def silent(self) -> float:
        """Seconds since it was asked for a report that has not come."""
        return 0.0 if self._asked is None else time.monotonic() - self._asked

    @property
    def families(self) -> list[Family]:
        """Its metrics, as it last reported them."""
        return self.reported.families

    def send(self, message: Any, sockets: Sequence[socket.socket] = ()) -> None:
        """Tell it something; the sockets are its own from then on."""
        if self._channel is not None:
            self._channel.send(message, sockets)

    async def report(self) -> None:
        """Ask it for a report, and wait for that."""
        answer = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        if self._asked is None:
            self._asked = time.monotonic()
            self.send(messages.Report())
        if self.open:
            await answer

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return 0 if self._child is None else await self._child.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    def close(self) -> None:
        """Leave it alone: it ends by itself then."""
        if self._channel is not None:
            self._channel.close()
