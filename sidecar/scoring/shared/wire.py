"""What is said between those who ask a shared scorer and the process that holds it: frames of MessagePack.

A frame is the length of what follows and one message. A request is carried whole, so that whatever it says of its
deadline, its model or its caller arrives; deadlines are times of the machine's monotonic clock, which its processes
share.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from pydantic import BaseModel

from sidecar import errors
from sidecar.reasons import Reason
from sidecar.scoring.scorer import ScoreRequest, Scores

_LENGTH = struct.Struct("!I")


class Ask(msgspec.Struct, frozen=True, tag="ask", array_like=True):
    """A request to score; ``number`` tells it from others of the same connection."""

    number: int
    request: ScoreRequest


class Cancel(msgspec.Struct, frozen=True, tag="cancel", array_like=True):
    """Nobody waits for a request any more."""

    number: int


class Scored(msgspec.Struct, frozen=True, tag="scored", array_like=True):
    """A request's scores."""

    number: int
    scores: Scores


class Failed(msgspec.Struct, frozen=True, tag="failed", array_like=True):
    """A request's failure: the name of a scoring error, or None for what was not foreseen."""

    number: int
    error: str | None
    message: str


class State(msgspec.Struct, frozen=True, tag="state", array_like=True):
    """Why nothing can be scored now, None where it can. Said first, and whenever it changes."""

    unready: Reason | None


ToScorer = Ask | Cancel
FromScorer = Scored | Failed | State


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise NotImplementedError(type(value))


def _valid(type_: type, value: Any) -> Any:
    if issubclass(type_, BaseModel):
        return type_.model_validate(value)
    raise NotImplementedError(type_)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
TO_SCORER: msgspec.msgpack.Decoder[ToScorer] = msgspec.msgpack.Decoder(ToScorer, dec_hook=_valid)
FROM_SCORER: msgspec.msgpack.Decoder[FromScorer] = msgspec.msgpack.Decoder(FromScorer, dec_hook=_valid)


def frame(message: ToScorer | FromScorer) -> bytes:
    """Return a message as it travels.

    Raises:
        ValueError: a text holds half a character, which no encoding has.
    """
    body = _ENCODER.encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Takes bytes as they come, and yields whole messages."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; yield the messages that are whole now."""
        self._waiting += data
        start, have = 0, len(self._waiting)
        while have - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(self._waiting, start)[0]
            if end > have:
                break
            yield bytes(memoryview(self._waiting)[start + _LENGTH.size : end])
            start = end
        del self._waiting[:start]


def failure(number: int, problem: BaseException) -> Failed:
    """Return what is said of a failure."""
    if isinstance(problem, errors.ScoringError):
        return Failed(number, type(problem).__name__, str(problem))
    return Failed(number, None, repr(problem))


def raised(failed: Failed) -> Exception:
    """Return the error that a failure stands for."""
    if failed.error is None:
        return RuntimeError(f"the scoring process: {failed.message}")
    known = getattr(errors, failed.error, errors.BackendFailed)
    return known(failed.message) if issubclass(known, errors.ScoringError) else errors.BackendFailed(failed.message)
