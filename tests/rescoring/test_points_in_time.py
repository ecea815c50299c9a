"""Which indices a point in time is of: asked for once, and not taken as known where Elasticsearch does not say.

The answers are STAND-INS: no remote cluster and no broken shard can be had here.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.rescoring.point_in_time import PointsInTime


class Cluster:
    """Answers one question after the other, the last one for ever."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer, and keep what was asked."""
        self.asked.append(json.loads(body or b""))
        status, value = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        await asyncio.sleep(0)
        return UpstreamAnswer(status=status, headers=(), body=json.dumps(value).encode())


def held(*names: str, others: int = 0, failed: int = 0) -> tuple[int, Any]:
    terms = {"sum_other_doc_count": others, "buckets": [{"key": name} for name in names]}
    return 200, {"timed_out": False, "_shards": {"failed": failed}, "aggregations": {"indices": terms}}


async def test_several_searches_in_one_point_in_time_ask_once_for_each_caller() -> None:
    cluster, points = Cluster(held("a")), PointsInTime()
    callers: list[dict[str, str]] = [
        {},
        {},
        {"authorization": "one"},
        {"authorization": "two"},
        {"authorization": "one"},
    ]
    for pits in (["p"] * 5, ["p"] * 5, ["q"] * 5):
        asked = (points.names(pit, headers, cluster.fetch) for pit, headers in zip(pits, callers, strict=True))
        assert await asyncio.gather(*asked) == [("a",)] * 5
    assert [each["pit"]["id"] for each in cluster.asked] == ["p"] * 3 + ["q"] * 3


async def test_indices_of_data_streams_and_of_other_clusters() -> None:
    cluster = Cluster(held("far:b", ".ds-logs-2026.01.01-000001", ".ds-logs-2026.01.02-000002", "a"))
    assert await PointsInTime().names("p", {}, cluster.fetch) == ("a", "far:b", "logs")


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"error": {}}),
        (403, {"error": {}}),
        (400, {"error": {}}),
        held("a", failed=1),
        (200, {}),
        (200, []),
        held("a", others=1),
    ],
)
async def test_what_is_not_said_is_not_known_and_asked_again(answer: tuple[int, Any]) -> None:
    points = PointsInTime()
    assert await points.names("p", {}, Cluster(answer).fetch) == ()
    assert await points.names("p", {}, Cluster(held("a")).fetch) == ("a",)


async def test_a_cluster_that_does_not_answer() -> None:
    async def fetch(method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        raise UpstreamError("gone")

    assert await PointsInTime().names("p", {}, fetch) == ()
