"""Every error the sidecar raises on purpose, in one tree.

    SidecarError                  the user can act on it; ``exit_code`` is what the command line returns
    +-- ConfigError        (2)    the configuration is wrong; holds every problem found, not the first
    +-- InputError         (2)    a file or a flag given to a command is wrong
    +-- StartupError       (3)    the sidecar cannot start: port in use, missing tool, nothing to listen on
    |   +-- ModelError     (3)    the model cannot be found, loaded or trusted
    +-- UpstreamError      (4)    Elasticsearch did not answer: refused, reset, timed out, truncated
    +-- ScoringError       (5)    scores were not available in time; searches fail open on it
        +-- QueueFull             admission refused the request
        +-- Overloaded            what waits leaves no time for even the best hits
        +-- DeadlineExceeded      the time allowed ran out
        |   +-- ModelStalled      and nobody got anything of the model for long
        +-- BackendFailed         the model raised, or returned non-finite or too few scores
        +-- ScorerDown            the scoring process that the workers share is not there

Pure modules raise ``ValueError``; foreign exceptions are translated once, where they enter.
"""

from __future__ import annotations

from typing import ClassVar

from sidecar.reasons import Reason


class SidecarError(Exception):
    """Base of all errors with a message for the user."""

    exit_code: ClassVar[int] = 1


class ConfigError(SidecarError):
    """The configuration is wrong. ``problems`` holds one readable line each."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InputError(SidecarError):
    """A file or a flag given to a command is wrong; files are named with their line."""

    exit_code = 2


class StartupError(SidecarError):
    """The sidecar cannot start."""

    exit_code = 3


class ModelError(StartupError):
    """The model cannot be found, loaded or trusted."""


class UpstreamError(SidecarError):
    """Elasticsearch did not answer. ``reason`` is the short name used in headers and metrics.

    The message may reach clients and names no host; ``detail`` is for the log.
    """

    exit_code = 4

    def __init__(self, message: str, *, reason: Reason = Reason.UPSTREAM_UNREACHABLE, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail


class ScoringError(SidecarError):
    """Scores was not available; ``reason`` is the short name used in headers and metrics."""

    exit_code = 5
    reason: ClassVar[Reason]


class QueueFull(ScoringError):
    """Admission refused the request: too many pairs are waiting."""

    reason = Reason.QUEUE_FULL


class Overloaded(ScoringError):
    """Admission refused the request: even its best hits could not be scored in time."""

    reason = Reason.OVERLOADED


class DeadlineExceeded(ScoringError):
    """The time allowed for scoring ran out."""

    reason = Reason.DEADLINE


class ModelStalled(DeadlineExceeded):
    """The time allowed for scoring ran out, and the model has given nobody anything for long: it seems to hang."""


class BackendFailed(ScoringError):
    """The model raised, or its scores were non-finite or too few."""

    reason = Reason.MODEL_ERROR


class ScorerDown(ScoringError):
    """The scoring process that the workers share is not there."""

    reason = Reason.SCORER_DOWN
