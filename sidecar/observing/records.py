"""What observers are told: one hook when a search starts, one frozen record when it ends.

Headers, metrics, log lines and traces all come from the record, so that they cannot disagree.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from sidecar.reasons import Reason

_log = logging.getLogger("sidecar.observers")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStart:
    """A search that begins.

    Attributes:
        endpoint: the endpoint's name in the table of endpoints, such as `msearch`.
        headers: the request's headers by lower-case name; those of the trace context are among them.
    """

    endpoint: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreRecord:
    """What became of one search. Times are seconds.

    Attributes:
        outcome: `reranked`; `passed`: Elasticsearch's own answer, as decided; `failed`: the same, or an error, since
            something went wrong.
        reason: why it was not reranked, or not as far as its window goes.
        endpoint: the endpoint's name.
        mapping: the name or pattern of the mapping in `indices`, where one was found.
        model: the model that scored.
        window: how many hits were to be permuted at most.
        scored: how many were: fewer where there was no time for more, and the reason says so.
        hits: how many hits Elasticsearch gave.
        pairs: how many (query, text) pairs were scored; with passages there are several a hit.
        tokens: the tokens of those pairs.
        missing_fields: mapped fields that hits of the window lacked, added up.
        hits_without_text: hits of the window that have no text, and kept their places.
        texts_not_found: texts that were looked up in vain; their hits are among those without text.
        elasticsearch: time until Elasticsearch had answered all that was asked of it.
        queue: time that pairs waited for the model.
        tokenize: time from texts to token ids.
        model_time: the search's share of its batches' time.
        total: time from the search's first byte to its answer.
        refused: whether the answer is an error of ours instead (`on_failure: error`).
        opaque_id: the client's `X-Opaque-Id`.
        parts: the records of the searches that were answered as one; none for a single search.
    """

    outcome: Literal["reranked", "passed", "failed"]
    reason: Reason | None = None
    endpoint: str = "search"
    mapping: str | None = None
    model: str | None = None
    window: int = 0
    scored: int = 0
    hits: int = 0
    pairs: int = 0
    tokens: int = 0
    missing_fields: int = 0
    hits_without_text: int = 0
    texts_not_found: int = 0
    elasticsearch: float = 0.0
    queue: float = 0.0
    tokenize: float = 0.0
    model_time: float = 0.0
    total: float = 0.0
    refused: bool = False
    opaque_id: str | None = None
    parts: tuple[RescoreRecord, ...] = ()

    @property
    def searches(self) -> Sequence[RescoreRecord]:
        """The records of single searches: its parts, or itself."""
        return self.parts or (self,)

    def header(self) -> str:
        """Return the value of the `X-Rescore` answer header; for several searches it counts their outcomes."""
        return "; ".join([self.outcome, *self._details(), *self._lacking()])

    def _details(self) -> list[str]:
        if self.parts:
            outcomes = [part.outcome for part in self.parts]
            return [f"{name}={outcomes.count(name)}" for name in ("reranked", "passed", "failed")]
        if self.outcome != "reranked":
            return [f"reason={self.reason}"]
        if self.reason is None:
            return [f"window={self.window}", f"model={self.model}"]
        return [f"window={self.scored}", f"of={self.window}", f"reason={self.reason}", f"model={self.model}"]

    def _lacking(self) -> list[str]:
        """Say how many hits kept their places for want of a text, and how many texts a look-up did not give."""
        textless = sum(search.hits_without_text for search in self.searches if search.outcome == "reranked")
        counted = {"without_text": textless, "texts_not_found": self.texts_not_found}
        return [f"{name}={count}" for name, count in counted.items() if count]

    def server_timing(self) -> str:
        """Return the value of `Server-Timing` (W3C Server Timing): milliseconds per stage."""
        stages = {"es": self.elasticsearch, "queue": self.queue, "tokenize": self.tokenize, "model": self.model_time}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in stages.items())


def summary(parts: Sequence[RescoreRecord]) -> RescoreRecord:
    """Return the record of several searches answered as one.

    They run together, so stages last as long as those of the slowest; the model's time is that of all, and what
    is left of the slowest search's wait for it is the queue.
    """
    model = sum(part.model_time for part in parts)
    scored = max((part.queue + part.model_time for part in parts), default=0.0)
    outcomes = {part.outcome for part in parts}
    return RescoreRecord(
        outcome="failed" if "failed" in outcomes else "reranked" if "reranked" in outcomes else "passed",
        texts_not_found=sum(part.texts_not_found for part in parts),
        elasticsearch=max((part.elasticsearch for part in parts), default=0.0),
        queue=max(0.0, scored - model),
        tokenize=max((part.tokenize for part in parts), default=0.0),
        model_time=model,
        parts=tuple(parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRecord:
    """How the rescored order would have differed, for `mode: shadow`."""

    mapping: str
    kendall_tau: float
    overlap_at_10: float
    seconds: float


Tell = Callable[[RescoreRecord], None]


class RescoreObserver(Protocol):
    """Watches searches from their beginning to their end, and shadow comparisons."""

    def search(self, start: SearchStart) -> AbstractContextManager[Tell]:
        """Return what is entered when a search starts and left when it was answered; its value takes the record.

        A search whose client went away first is left without a record.
        """
        ...

    def shadow(self, record: ShadowRecord) -> None:
        """Take one shadow comparison."""
        ...


class FanOut:
    """Tells several observers. One that raises costs a line of the log, not the search."""

    def __init__(self, *observers: RescoreObserver) -> None:
        self._observers = observers

    @contextmanager
    def search(self, start: SearchStart) -> Iterator[Tell]:
        """Watch one search."""
        with ExitStack() as stack:
            tells: list[Tell] = []
            for observer in self._observers:
                with _harmless():
                    tells.append(stack.enter_context(_leaving(observer.search(start))))

            def tell(record: RescoreRecord) -> None:
                for each in tells:
                    with _harmless():
                        each(record)

            yield tell

    def shadow(self, record: ShadowRecord) -> None:
        """Pass one shadow comparison on."""
        for observer in self._observers:
            with _harmless():
                observer.shadow(record)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.exception("an observer failed; searches are answered all the same")


@contextmanager
def _leaving(watched: AbstractContextManager[Tell]) -> Iterator[Tell]:
    """Enter an observer's context so that leaving it cannot raise, nor swallow what the search raised."""
    tell = watched.__enter__()
    try:
        yield tell
    except BaseException as problem:
        with _harmless():
            watched.__exit__(type(problem), problem, problem.__traceback__)
        raise
    with _harmless():
        watched.__exit__(None, None, None)


@contextmanager
def watched(
    observer: RescoreObserver, start: SearchStart, clock: Callable[[], float] = time.monotonic
) -> Iterator[Tell]:
    """Watch one search; the value takes its record and completes it with what the start knew."""
    began = clock()
    opaque_id = start.headers.get("x-opaque-id")

    def complete(record: RescoreRecord) -> RescoreRecord:
        parts = tuple(map(complete, record.parts))
        return replace(record, total=clock() - began, opaque_id=opaque_id, endpoint=start.endpoint, parts=parts)

    with observer.search(start) as tell:
        yield lambda record: tell(complete(record))
