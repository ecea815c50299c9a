"""What an index expression stands for: asked for once, per caller, for a while.

The answers here are STAND-INS of the documented shape; the end-to-end tests resolve through a real node.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.rescoring.resolver import IndexResolver

SEARCHED = {
    "indices": ["plain", ".ds-my-2.x-2026.01.01-000012", ".ds-logs-2026.01.01-000001", ".ds-logs-2026.01.02-000002"],
    "failures": [{"indices": ["red"]}, {}],
}


class Cluster:
    """A stand-in for `_field_caps`."""

    def __init__(self, body: Any = None, status: int = 200) -> None:
        self.answer = UpstreamAnswer(status=status, headers=(), body=json.dumps(body).encode())
        self.targets: list[str] = []
        self.problem: Exception | None = None

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer, and keep what was asked."""
        assert (method, body) == ("GET", None)
        self.targets.append(target)
        if self.problem is not None:
            raise self.problem
        return self.answer


class Clock:
    """A clock that the test winds."""

    now = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


async def test_data_streams_stand_for_their_backing_indices() -> None:
    cluster = Cluster(SEARCHED)
    names = await IndexResolver(60, Clock()).names("b*,<l-{now/d}>", None, {}, cluster.fetch)
    assert names == ("logs", "my-2.x", "plain", "red")
    path = "/b*,%3Cl-%7Bnow%2Fd%7D%3E/_field_caps"
    assert cluster.targets == [
        f"{path}?fields=_id&filter_path=indices,failures.indices&ignore_unavailable=true",
    ]


async def test_what_wildcards_expand_to_is_part_of_the_question() -> None:
    cluster, resolver = Cluster({"indices": ["a"]}), IndexResolver(60, Clock())
    for expand in (None, "open,hidden", "", "a&b", None, "a&b"):
        await resolver.names("a*", expand, {}, cluster.fetch)
        await resolver.text_fields("a*", expand, {}, cluster.fetch)
    told = [target.partition("&ignore_unavailable=true")[2] for target in cluster.targets[::2]]
    assert told == ["", "&expand_wildcards=open,hidden", "&expand_wildcards=", "&expand_wildcards=a%26b"]
    assert [target.partition("&ignore_unavailable=true")[2] for target in cluster.targets[1::2]] == told


async def test_answers_are_kept_for_a_while_and_for_each_caller() -> None:
    cluster, clock = Cluster({"indices": ["a"]}), Clock()
    resolver = IndexResolver(60, clock)
    for headers in ({}, {}, {"authorization": "one"}, {"authorization": "one"}, {"authorization": "two"}):
        assert await resolver.names("a*", None, headers, cluster.fetch) == ("a",)
    assert len(cluster.targets) == 3
    clock.now = 60.0
    await resolver.names("a*", None, {}, cluster.fetch)
    assert len(cluster.targets) == 4


@pytest.mark.parametrize(
    "cluster", [Cluster({"error": {}}, 404), Cluster({"error": {}}, 403), Cluster([1]), Cluster({"indices": [{}]})]
)
async def test_what_is_not_said_is_not_known(cluster: Cluster) -> None:
    assert await IndexResolver(60, Clock()).names("a", None, {}, cluster.fetch) is None


async def test_a_cluster_that_does_not_answer() -> None:
    cluster = Cluster()
    cluster.problem = UpstreamError("gone")
    assert await IndexResolver(60, Clock()).names("a", None, {}, cluster.fetch) is None


async def test_text_fields_are_asked_for_once_and_for_each_caller() -> None:
    text = {"text": {"type": "text"}}
    cluster, clock = Cluster({"fields": {"title": text, "title.en": text}}), Clock()
    resolver = IndexResolver(60, clock)
    for headers in ({}, {}, {"authorization": "one"}):
        found = await resolver.text_fields("a*,<l-{now/d}>", None, headers, cluster.fetch)
        assert found == frozenset({"title", "title.en"})
    assert len(cluster.targets) == 2
    assert cluster.targets[0].startswith("/a*,%3Cl-%7Bnow%2Fd%7D%3E/_field_caps?fields=*&types=text,")


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (Cluster({}), frozenset()),
        (Cluster({"error": {}}, 403), None),
        (Cluster([1]), None),
        (Cluster({"fields": {str(n): {} for n in range(2000)}}), None),
    ],
)
async def test_text_fields_that_are_not_said_or_too_many_are_not_known(
    cluster: Cluster, expected: frozenset[str] | None
) -> None:
    resolver = IndexResolver(60, Clock())
    assert await resolver.text_fields("a", None, {}, cluster.fetch) == expected
    cluster.problem = UpstreamError("gone")
    assert await resolver.text_fields("b", None, {}, cluster.fetch) is None


TEXT = {"text": {"type": "text"}}


@pytest.mark.parametrize(
    "failing",
    [
        Cluster({"error": {}}, 503),
        Cluster({"error": {}}, 429),
        Cluster([1]),
        Cluster({"fields": {"other": TEXT}, "failures": [{"indices": ["red"]}]}),
    ],
)
async def test_one_lost_answer_does_not_change_how_the_next_page_is_read(failing: Cluster) -> None:
    cluster, clock = Cluster({"fields": {"title": TEXT}, "indices": ["a"]}), Clock()
    resolver = IndexResolver(60, clock)
    for fetch, asked in ((cluster.fetch, 0), (failing.fetch, 1), (cluster.fetch, 1)):
        clock.now += 61.0
        assert await resolver.text_fields("a*", None, {}, fetch) == frozenset({"title"})
        assert await resolver.text_fields("a*", None, {}, fetch) == frozenset({"title"})
        assert len(failing.targets) == asked
    clock.now += 61.0
    assert await resolver.text_fields("a*", None, {}, Cluster({"error": {}}, 403).fetch) is None


async def test_a_failure_holds_for_all_pages_as_long_as_an_answer_would() -> None:
    cluster, clock = Cluster({"error": {}}, 503), Clock()
    resolver = IndexResolver(60, clock)
    found = await asyncio.gather(*(resolver.text_fields("a*", None, {}, cluster.fetch) for _ in range(5)))
    assert (found, len(cluster.targets)) == ([None] * 5, 1)
    assert await resolver.text_fields("a*", None, {}, Cluster({"fields": {"title": TEXT}}).fetch) is None
    clock.now = 61.0
    answer = await resolver.text_fields("a*", None, {}, Cluster({"fields": {"title": TEXT}}).fetch)
    assert answer == frozenset({"title"})


async def test_who_asks_first_and_leaves_costs_nobody_the_answer() -> None:
    cluster, resolver, asked = Cluster({"fields": {"title": TEXT}}), IndexResolver(60, Clock()), asyncio.Event()
    may_answer = asyncio.Event()

    async def slow(method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        asked.set()
        await may_answer.wait()
        return await cluster.fetch(method, target, body)

    first = asyncio.create_task(resolver.text_fields("a*", None, {}, slow))
    await asked.wait()
    second = asyncio.create_task(resolver.text_fields("a*", None, {}, slow))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    may_answer.set()
    assert (await second, len(cluster.targets)) == (frozenset({"title"}), 1)
