"""The laws that searches through the sidecar are checked against. Pure: answers in, violations out.

The node's own answer to the same page is the truth. The first W hits of the list may be permuted, `_score`,
`max_score` and `took` may differ, nothing else; an answer that is said to be passed is the node's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hardening.search_answers import Listed, Outcome, Reply, Taken, explanation, settled

_IGNORED = {"x-rescore", "server-timing", "content-length", "transfer-encoding", "content-encoding", "date"}
_UNASKED = {"internal_error", "model_error", "queue_full", "unreadable_answer", "answer_too_large", "body_too_large"}
"""Reasons that none of the generated searches gives cause for."""
_AFTER_WIDENING = {"no_hits", "no_document_text"}
"""Reasons of answers that are made of the widened search's, with the node's hits in the node's order."""


@dataclass(frozen=True)
class Page:
    """One page, from the node itself and through the sidecar.

    ``partial``: shards failed for the node's own, which a filtered answer does not tell.
    """

    start: int
    size: int
    direct: Reply
    through: Reply
    outcome: Outcome
    partial: bool = False

    @property
    def in_part(self) -> bool:
        """Whether the node's own page lacks what some shards have."""
        return self.partial or (self.direct.taken is not None and self.direct.taken.partial)


@dataclass(frozen=True)
class Violation:
    """A law that was broken: its name, and what was seen."""

    law: str
    seen: str


@dataclass(frozen=True)
class Question:
    """What the laws need to know of a search.

    ``pools`` are the node's own list from its start, as long as the window, by the size of the page for which it
    was asked; a list that is not available is not there. ``texts`` are the documents' texts by the hits' names.
    ``size_matters``: another size of pages gives another list. ``cut``: a list ends where our `min_score` says.
    ``collapse`` is the field of whose values a list has one hit each; ``neighbours``: it has those of all shards.
    """

    pools: Mapping[int, Taken]
    texts: Mapping[tuple[str, str, str], str]
    size_matters: bool
    cut: bool
    replaces: bool
    reasons: frozenset[str]
    collapse: str | None = None
    neighbours: bool = False


def of_page(page: Page, question: Question) -> Iterator[Violation]:
    """Yield what is wrong with one page."""
    direct, through, outcome = page.direct, page.through, page.outcome
    if outcome.kind not in ("reranked", "passed", "failed", "any"):
        yield Violation("no outcome", f"X-Rescore: {through.headers.get('x-rescore')}")
    if outcome.kind in ("passed", "failed") and outcome.reason not in question.reasons:
        yield Violation("unknown reason", outcome.reason)
    if outcome.reason in _UNASKED or outcome.kind == "failed":
        yield Violation(f"unasked: {outcome.reason}", f"page from {page.start}, size {page.size}")
    if outcome.reason == "bad_override":
        return
    if direct.status != through.status:
        yield Violation("another status", f"{direct.status} became {through.status}: {through.body[:300]!r}")
        return
    if _compared(direct.headers) != _compared(through.headers):
        yield Violation("other headers", f"{_compared(direct.headers)} became {_compared(through.headers)}")
    same = settled(direct.body) == settled(through.body)
    if not same and outcome.kind in ("passed", "failed") and outcome.reason not in _AFTER_WIDENING:
        yield Violation(f"passed but different: {outcome.reason}", _difference(direct.body, through.body))
    elif not same or outcome.kind == "reranked":
        yield from _of_rescored(page, question)


def _compared(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _IGNORED}


def _difference(left: bytes, right: bytes) -> str:
    one, other = settled(left), settled(right)
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"at {at}: {one[max(0, at - 60) : at + 120]!r} became {other[max(0, at - 60) : at + 120]!r}"


def _of_rescored(page: Page, question: Question) -> Iterator[Violation]:
    direct, through = page.direct.taken, page.through.taken
    if page.outcome.kind == "passed" and not page.in_part:
        yield Violation(
            f"passed but different: {page.outcome.reason}", _difference(page.direct.body, page.through.body)
        )
        return
    if direct is None or through is None:
        yield Violation("rescored an error", _difference(page.direct.body, page.through.body))
        return
    if page.in_part:
        yield from _of_part(page, direct, through, question)
        return
    if direct.shell != through.shell and not _emptied(direct, through, question):
        yield Violation("changed around the hits", _difference(direct.shell.encode(), through.shell.encode()))
    if not question.cut:
        yield from _of_hits(page, direct, through, question)
    yield from _of_scores(page, through)


def _emptied(direct: Taken, through: Taken, question: Question) -> bool:
    """Tell whether only what a `filter_path` leaves out of a page without hits is gone from one that was cut empty."""
    return question.cut and not through.hits and _filled(direct.value) == _filled(through.value)


def _filled(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer less its hits, and less the object that held them where nothing else is in it."""
    hits = {name: value for name, value in answer.get("hits", {}).items() if name not in ("hits", "max_score")}
    others = {name: value for name, value in answer.items() if name not in ("hits", "took", "pit_id")}
    return others | ({"hits": hits} if hits else {})


def _of_part(page: Page, direct: Taken, through: Taken, question: Question) -> Iterator[Violation]:
    """Where shards fail for the client's own request, others may have failed for ours, but no more hits are lost."""
    shown = {_group(hit, question) for hit in through.hits}
    lost = [hit for hit in direct.hits if _group(hit, question) not in shown]
    if lost and not (question.cut or question.neighbours) and page.start == 0 and len(through.hits) < page.size:
        yield Violation("a hit lost beside shards that failed", lost[0].raw[:300])


def _group(hit: Listed, question: Question) -> str:
    """Return what a list has once: a hit, or a value that it is collapsed by, whichever hit stands for it."""
    values = json.loads(hit.raw).get("fields", {}).get(question.collapse)
    return hit.plain if values is None else json.dumps(values)


def _of_hits(page: Page, direct: Taken, through: Taken, question: Question) -> Iterator[Violation]:
    if len(direct.hits) != len(through.hits):
        yield Violation("page of another length", f"{len(direct.hits)} hits became {len(through.hits)}")
    inside = max(0, page.outcome.window - page.start)
    for old, new in zip(direct.hits[inside:], through.hits[inside:], strict=False):
        if old.plain != new.plain:
            yield Violation("changed after the window", f"{old.raw[:200]} became {new.raw[:200]}")
            return
    pool = question.pools.get(page.size)
    if pool is not None:
        known = Counter(hit.plain for hit in pool.hits[: page.outcome.window])
        for hit in through.hits[:inside]:
            if known[hit.plain] == 0:
                yield Violation("a hit that is not the node's", hit.raw[:300])
                return
            known[hit.plain] -= 1
        yield from _of_explanations(pool, through)


def _of_explanations(pool: Taken, through: Taken) -> Iterator[Violation]:
    """The node's explanation of a hit stays in the one that a rescored hit has."""
    known = {hit.name: explanation(hit.raw) for hit in pool.hits}
    for hit in through.hits:
        if known.get(hit.name) and "\n" not in hit.raw and known[hit.name] not in explanation(hit.raw):
            yield Violation("explanation lost", hit.raw[:300])
            return


def _of_scores(page: Page, through: Taken) -> Iterator[Violation]:
    scores = [hit.score for hit in through.hits if hit.score is not None]
    if any(later > earlier for earlier, later in pairwise(scores)):
        yield Violation("scores rise", f"{scores}")
    if any(score < 0 for score in scores):
        yield Violation("a negative score", f"{scores}")
    best = through.max_score
    if scores and best is not None and (best < scores[0] or (page.start == 0 and best != scores[0])):
        yield Violation("wrong max_score", f"{best}, the first hit has {scores[0]}")


def of_list(walks: Sequence[Sequence[Page]], question: Question) -> Iterator[Violation]:
    """Yield what is wrong with the lists that clients read page by page; each walk starts at the list's start."""
    lists = []
    for pages in walks:
        whole = list(_whole(pages))
        if whole:
            yield from _of_walk(pages, whole, question)
            names = [hit.name for _, through in whole for hit in through.hits]
            lists.append((pages[0].size, names))
    for size in {size for size, _ in lists} if question.size_matters else {0}:
        yield from _of_lists([names for other, names in lists if size in (0, other)])


def _whole(pages: Sequence[Page]) -> Iterator[tuple[Taken, Taken]]:
    """Yield pages up to the first that the node itself cannot answer whole."""
    for page in pages:
        direct, through = page.direct.taken, page.through.taken
        if direct is None or through is None or page.in_part:
            return
        yield direct, through


def _of_walk(walk: Sequence[Page], pages: Sequence[tuple[Taken, Taken]], question: Question) -> Iterator[Violation]:
    pool = question.pools.get(walk[0].size)
    old = Counter(hit.plain for direct, _ in pages for hit in direct.hits)
    new = Counter(hit.plain for _, through in pages for hit in through.hits)
    known = old | Counter(hit.plain for hit in (pool.hits if pool else ()))
    twice = [hit for hit, count in new.items() if count > max(1, known[hit])]
    lost = old - new if not pages[-1][0].hits else None
    if twice:
        yield Violation("a hit twice in a list", f"{len(twice)} of {len(old)}: {twice[0][:200]}")
    if lost and not question.cut:
        yield Violation("a hit lost from a list", f"{len(lost)} of {len(old)}: {next(iter(lost))[:200]}")
    if question.cut:
        yield from _of_lengths([len(through.hits) for _, through in pages], len(pages[0][0].hits))


def _of_lengths(lengths: Sequence[int], size: int) -> Iterator[Violation]:
    """A client that stops at the first short page has seen all."""
    short = next((i for i, length in enumerate(lengths) if length < size), len(lengths))
    if any(lengths[short + 1 :]):
        yield Violation("hits after a short page", f"pages of {lengths}, size {size}")


def _of_lists(lists: Sequence[Sequence[tuple[str, str, str]]]) -> Iterator[Violation]:
    for other in lists[1:]:
        common = min(len(lists[0]), len(other))
        if lists[0][:common] != other[:common]:
            at = next(i for i in range(common) if lists[0][i] != other[i])
            yield Violation("lists of two clients differ", f"at {at}: {lists[0][at]}, {other[at]}")
            return


def of_texts(walks: Sequence[Sequence[Page]], question: Question) -> Iterator[Violation]:
    """Yield where equal texts in the window have other scores, or left the node's order."""
    for pages in walks:
        pool = question.pools.get(pages[0].size)
        places = {hit.name: i for i, hit in enumerate(pool.hits if pool else ())}
        hits = [(hit, question.texts.get(hit.name, "")) for page in pages for hit in _in_window(page)]
        seen: dict[str, Any] = {}
        for hit, words in hits:
            before = seen.get(words)
            if words and before is not None and hit.name in places:
                if question.replaces and before.score != hit.score:
                    yield Violation("equal texts, other scores", f"{before.raw[:200]} and {hit.raw[:200]}")
                    return
                if places[before.name] > places[hit.name]:
                    yield Violation("equal texts left the node's order", f"{before.raw[:200]} and {hit.raw[:200]}")
                    return
            if words and hit.name in places:
                seen[words] = hit


def _in_window(page: Page) -> Sequence[Listed]:
    taken = page.through.taken if page.outcome.kind == "reranked" else None
    return () if taken is None else taken.hits[: max(0, page.outcome.window - page.start)]


def text_of(document: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return what is equal for documents of equal text, nothing for a document without text."""
    values = [document.get(field) for field in fields]
    return json.dumps(values) if any(_has_text(value) for value in values) else ""


def _has_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_text(item) for item in value)
    return isinstance(value, str) and bool(value.strip())
