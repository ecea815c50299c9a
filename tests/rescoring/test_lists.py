"""The pages of one list show one order, whatever happens between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.model import Config
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import BackendFailed, DeadlineExceeded, Overloaded
from sidecar.observing.records import SearchStart, watched
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.order import Place
from sidecar.rescoring.outcome import Answered, Outcome, Rejected
from sidecar.rescoring.remembered import order_of
from sidecar.rescoring.rescorer import Rescorer
from sidecar.rescoring.values import Hit
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.rescoring.conftest import Request, Told
from tests.scorers import GivenScorer, raising

QUERY = {"match": {"t": "x"}}


class Node:
    """A stand-in for Elasticsearch: pages of a list that may change."""

    def __init__(self, count: int) -> None:
        self.names = [str(n) for n in range(count)]

    def page(self, body: bytes) -> dict[str, Any]:
        """Return a page."""
        asked = json.loads(body)
        start, size = asked.get("from", 0), asked.get("size", 10)
        listed = list(enumerate(self.names))[start : start + size]
        hits = [{"_index": "i", "_id": n, "_score": 99.0 - at, "_source": {"t": n}} for at, n in listed]
        return {"took": 1, "hits": {"max_score": 99.0, "hits": hits}}

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer a search, or each of an `_msearch`."""
        del method
        if "_msearch" not in target:
            answer = self.page(body or b"")
        else:
            answer = {
                "took": 1,
                "responses": [self.page(each) | {"status": 200} for each in (body or b"").split(b"\n")[1::2]],
            }
        return UpstreamAnswer(status=200, headers=[], body=json.dumps(answer).encode())


class Pages:
    """Asks for pages through a rescorer."""

    def __init__(self, give: Callable[[ScoreRequest], Any], count: int = 30, **mapping: Any) -> None:
        self.scorer, self.node, self.told, self.now = GivenScorer(give), Node(count), Told(), 0.0
        self.config = self.settings(**mapping)
        self.rescorer = Rescorer(self.config, self.scorer, self.told, lambda: self.now)

    def settings(self, **mapping: Any) -> Config:
        """Return a configuration."""
        indices = {"i": {"fields": ["t"], "window_size": 20, "min_window": 5, "timeout": "60s", **mapping}}
        return Config.model_validate({"upstream": {"dialect": "elasticsearch"}, "indices": indices})

    async def ask(
        self, start: int = 0, size: int = 5, *, user: str = "", target: str = "/i/_search", **more: Any
    ) -> Outcome:
        """Ask for a page."""
        headers = {"content-type": "application/json", **({"authorization": user} if user else {})}
        body = json.dumps({"query": QUERY, "from": start, "size": size, **more}).encode()
        if "_msearch" in target:
            body = b'{"index":"i"}\n' + body + b"\n"
        found = route("POST", target)
        assert found is not None
        with watched(self.told, SearchStart(endpoint=found.endpoint.name, headers=headers)) as tell:
            outcome = await self.rescorer.search(found, Request(self.node, target, body, headers))
            tell(outcome.record)
        return outcome

    async def names(self, start: int = 0, size: int = 5, **asked: Any) -> list[str]:
        """Return the names on a page."""
        outcome = await self.ask(start, size, **asked)
        body = {"from": start, "size": size}
        answer = (
            json.loads(outcome.body) if isinstance(outcome, Answered) else self.node.page(json.dumps(body).encode())
        )
        [found] = answer.get("responses", [answer])
        return [hit["_id"] for hit in found["hits"]["hits"]]

    @property
    def header(self) -> str:
        """What was told of the last search."""
        return self.told.searches[-1].header()


def best_first(request: ScoreRequest) -> list[float]:
    """Return the last of the first ten documents the best score; no time for others."""
    return [float(int(text) % 7) for text in request.documents[:10]]


PARTLY = ["6", "5", "4", "3", "2", "9", "1", "8", "0", "7", *map(str, range(10, 30))]


@pytest.mark.parametrize("target", ["/i/_search", "/_msearch"])
async def test_later_pages_show_the_first_ones_order_though_there_was_time_for_more(target: str) -> None:
    pages = Pages(best_first)
    assert await pages.names(target=target) == PARTLY[:5]
    pages.scorer.give = lambda request: [float(text) for text in request.documents]
    for start in range(5, 25, 5):
        assert await pages.names(start, target=target) == PARTLY[start : start + 5]
    assert await pages.names(3, 12, target=target) == PARTLY[3:15]
    assert pages.scorer.asked == 1
    [first, *later] = [search.header() for search in pages.told.searches if search.reason != "beyond_window"]
    assert set(later) == {first} == {"reranked; window=10; of=20; reason=budget; model=given"}


def break_model(pages: Pages) -> None:
    pages.scorer.give = raising(BackendFailed("broken"))


def unload_model(pages: Pages) -> None:
    pages.scorer.unready = Reason.MODEL_LOADING


def reload(pages: Pages) -> None:
    pages.rescorer.use(pages.settings(window_size=7, min_window=1, fusion="rrf"))


@pytest.mark.parametrize("change", [break_model, unload_model, reload])
async def test_a_scored_list_stays_one_whatever_changes(change: Callable[[Pages], None]) -> None:
    pages = Pages(best_first)
    first = await pages.names(5)
    change(pages)
    assert [*await pages.names(0), *first, *await pages.names(10, 20)] == PARTLY


@pytest.mark.parametrize(
    "failure",
    [Overloaded("busy"), DeadlineExceeded("late"), BackendFailed("broken"), ZeroDivisionError("a bug")],
    ids=repr,
)
async def test_a_list_that_was_not_rescored_stays_as_it_is(failure: Exception) -> None:
    pages = Pages(raising(failure))
    assert await pages.names(0) == list("01234")
    pages.scorer.give = best_first
    assert await pages.names(5) == list("56789")
    assert pages.header == "passed; reason=remembered"
    assert await pages.names(0, user="another") == PARTLY[:5]


async def test_a_list_met_while_the_model_loads_stays_as_it_is() -> None:
    pages = Pages(best_first)
    pages.scorer.unready = Reason.MODEL_LOADING
    assert await pages.names(0) == list("01234")
    pages.scorer.unready = None
    assert await pages.names(5) == list("56789")
    pages.now = 61.0
    assert await pages.names(0) == PARTLY[:5]


async def test_an_error_settles_no_list() -> None:
    pages = Pages(raising(BackendFailed("broken")))
    pages.rescorer.use(pages.config.model_copy(update={"on_failure": "error"}))
    assert isinstance(await pages.ask(), Rejected)
    pages.scorer.give = best_first
    assert await pages.names() == PARTLY[:5]


async def test_lists_are_told_apart_by_who_asks_and_for_what() -> None:
    pages = Pages(best_first)
    await pages.names()
    others: list[dict[str, Any]] = [
        {"user": "another"},
        {"post_filter": {"match_all": {}}},
        {"target": "/i/_search?preference=x"},
        {"ext": {"rescore": {"window_size": 15}}},
    ]
    for asked, other in enumerate(others, start=2):
        await pages.names(**other)
        assert pages.scorer.asked == asked
    same: list[dict[str, Any]] = [
        {"aggs": {}},
        {"track_total_hits": False},
        {"target": "/i/_search?from=5&pretty"},
        {"size": 7},
    ]
    for other in same:
        await pages.names(**other)
    assert pages.scorer.asked == len(others) + 1


async def test_searches_of_several_requests_are_told_apart_by_their_paths() -> None:
    pages = Pages(best_first)
    await pages.names(target="/i/_msearch")
    await pages.names(target="/i,i/_msearch")
    assert pages.scorer.asked == 2


async def test_a_new_hit_comes_after_those_that_were_scored() -> None:
    pages = Pages(best_first)
    await pages.names()
    pages.node.names.insert(0, "new")
    pages.node.names.remove("4")
    expected = [name for name in PARTLY[:10] if name != "4"] + ["new"] + PARTLY[10:]
    walked = [name for start in range(0, 30, 5) for name in await pages.names(start)]
    assert walked == expected
    assert pages.scorer.asked == 1


async def test_other_documents_under_the_same_name_are_not_said_to_be_scored() -> None:
    pages = Pages(best_first)
    await pages.names()
    pages.node.names = [f"other {n}" for n in range(30)]
    assert await pages.names() == pages.node.names[:5]
    assert pages.header == "passed; reason=remembered"


async def test_pages_that_are_asked_for_at_once_are_scored_once() -> None:
    pages = Pages(best_first)
    scoring, go_on = asyncio.Event(), asyncio.Event()

    async def held(request: ScoreRequest) -> Scores:
        pages.scorer.asked += 1
        scoring.set()
        await go_on.wait()
        return Scores(values=best_first(request), model="given")

    pages.scorer.score = held  # type: ignore[method-assign]
    asked = [asyncio.create_task(pages.names(start)) for start in (0, 5, 10)]
    await scoring.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    assert [name for page in await asyncio.gather(*asked) for name in page] == PARTLY[:15]
    assert pages.scorer.asked == 1


async def test_who_scores_a_list_and_goes_away_leaves_it_to_those_who_wait() -> None:
    pages = Pages(best_first)
    scoring = asyncio.Event()

    async def hanging(request: ScoreRequest) -> Scores:
        scoring.set()
        await asyncio.Event().wait()
        raise AssertionError

    score, pages.scorer.score = pages.scorer.score, hanging  # type: ignore[method-assign]
    gone = asyncio.create_task(pages.names())
    await scoring.wait()
    waits = asyncio.create_task(pages.names(5))
    for _ in range(10):
        await asyncio.sleep(0)
    pages.scorer.score = score  # type: ignore[method-assign]
    gone.cancel()
    assert await waits == PARTLY[5:10]


async def test_nothing_is_kept_where_it_is_off() -> None:
    pages = Pages(best_first)
    pages.rescorer.use(pages.config.model_copy(update={"lists": pages.config.lists.model_copy(update={"ttl": 0.0})}))
    await pages.names()
    await pages.names(5)
    assert pages.scorer.asked == 2
    assert pages.rescorer.lists.stats()["bytes"] == 0


async def test_memory_is_bounded() -> None:
    pages = Pages(best_first)
    lists = pages.config.lists.model_copy(update={"memory": 20_000})
    pages.rescorer.use(pages.config.model_copy(update={"lists": lists}))
    for user in range(100):
        await pages.names(user=f"user {user}")
    assert 10_000 < pages.rescorer.lists.stats()["bytes"] <= 20_000
    asked = pages.scorer.asked
    await pages.names(5, user="user 99")
    assert pages.scorer.asked == asked


HITS = st.lists(st.integers(0, 40), unique=True, max_size=20)


@settings(deadline=None)
@given(HITS, HITS, st.randoms(use_true_random=False))
def test_what_is_left_of_an_order_keeps_it(before: list[int], now: list[int], random: Any) -> None:
    def hit(n: int) -> Hit:
        return Hit(b"", "", 1.0, ("i", str(n), None))

    positions = list(range(len(before)))
    random.shuffle(positions)
    places = [Place(position, 100.0 - at, float(at)) for at, position in enumerate(positions)]
    order = order_of([hit(n) for n in before], places, "m", whole=True)
    assert order is not None
    found = order.places([hit(n) for n in now])
    assert [now[place.position] for place in found] == [before[i] for i in positions if before[i] in now]
    assert [place.score for place in found] == sorted((place.score for place in found), reverse=True)


def test_hits_that_names_do_not_tell_apart_are_not_kept() -> None:
    one = Hit(b"", "", 1.0, ("i", "1", None))
    assert order_of([one, one], [Place(0, 1.0, 1.0), Place(1, 0.5, 0.5)], "m", whole=True) is None
    assert order_of([replace(one, name=None)], [Place(0, 1.0, 1.0)], "m", whole=True) is None
    other = replace(one, name=("i", "1", ""))
    assert order_of([one, other], [Place(0, 1.0, 1.0), Place(1, 0.5, 0.5)], "m", whole=True) is not None
