"""The list that a client pages through: Elasticsearch's, its first W hits permuted, nothing lost or repeated."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.model import Config
from sidecar.elasticsearch.upstream import UpstreamAnswer
from sidecar.reasons import Reason
from sidecar.rescoring.endpoints import route
from sidecar.rescoring.outcome import Answered
from sidecar.rescoring.rescorer import Rescorer
from sidecar.scoring.scorer import ScoreRequest
from tests.rescoring.conftest import Request, Told
from tests.scorers import GivenScorer


class Node:
    """A stand-in for Elasticsearch: answers `from` and `size` over a fixed list."""

    def __init__(self, count: int) -> None:
        self._hits = [
            {"_index": "i", "_id": f"{n}", "_score": 100.0 - n, "_source": {"t": str(n)}} for n in range(count)
        ]

    async def fetch(self, method: str, target: str, body: bytes | None) -> UpstreamAnswer:
        """Answer a search."""
        del method
        assert urlsplit(target).path == "/i/_search"
        asked = json.loads(body or b"{}")
        start, size = asked.get("from", 0), asked.get("size", 10)
        total = {"value": len(self._hits), "relation": "eq"}
        hits = {"total": total, "max_score": 100.0, "hits": self._hits[start : start + size]}
        answer = {"took": 1, "timed_out": False, "hits": hits}
        return UpstreamAnswer(status=200, headers=[], body=json.dumps(answer).encode())


def _with(fusion: str, **mapping: Any) -> dict[str, Any]:
    return {
        "upstream": {"dialect": "elasticsearch"},
        "indices": {"i": {"fields": ["t"], "fusion": fusion, "timeout": "60s", **mapping}},
    }


_JSON = {"content-type": "application/json"}


async def _page(which: Rescorer, node: Node, start: int, size: int) -> list[tuple[str, float]]:
    body = json.dumps({"query": {"match": {"t": "x"}}, "from": start, "size": size}).encode()
    found = route("POST", "/i/_search")
    assert found is not None
    outcome = await which.search(found, Request(node, "/i/_search", body, _JSON))
    if isinstance(outcome, Answered):
        assert outcome.record.outcome == "reranked" or outcome.record.reason == Reason.NO_HITS
        answer = outcome.body
    else:
        assert outcome.record.reason in ("beyond_window", "size_0", "no_hits")
        answer = (await node.fetch("POST", "/i/_search", body)).body
    return [(hit["_id"], hit["_score"]) for hit in json.loads(answer)["hits"]["hits"]]


@settings(deadline=None)  # a busy machine is no failure
@given(
    scores=st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=60),
    window=st.integers(1, 70),
    size=st.integers(1, 25),
)
async def test_pages_join_to_elasticsearchs_list_with_its_window_permuted(
    scores: list[float], window: int, size: int
) -> None:
    scorer = GivenScorer(lambda request: [scores[int(text)] for text in request.documents])
    config = Config.model_validate(
        {
            "upstream": {"dialect": "elasticsearch"},
            "indices": {"i": {"fields": ["t"], "window_size": window, "timeout": "60s"}},
        }
    )
    which = Rescorer(config, scorer, Told())
    node = Node(len(scores))
    pages = [await _page(which, node, start, size) for start in range(0, len(scores) + size, size)]
    paged = [int(name) for page in pages for name, _ in page]
    first = sorted(range(min(window, len(scores))), key=lambda n: -scores[n])  # stable: ties keep their order
    assert paged == first + list(range(len(first), len(scores)))
    for page in pages:
        assert [score for _, score in page] == sorted((score for _, score in page), reverse=True)
        assert all(score >= 0 for _, score in page)


@settings(deadline=None)
@given(
    count=st.integers(1, 60),
    window=st.integers(1, 40),
    share=st.floats(0, 1),
    size=st.integers(1, 25),
    fusion=st.sampled_from(["replace", "linear", "rrf"]),
)
async def test_a_window_that_is_scored_in_part_makes_one_list_too(
    count: int, window: int, share: float, size: int, fusion: str
) -> None:
    def give(request: ScoreRequest) -> list[float]:
        scored = max(request.least, round(share * len(request.documents)))
        return [float(int(text) * 7 % 11) for text in request.documents[:scored]]

    which = Rescorer(Config.model_validate(_with(fusion, window_size=window, min_window=5)), GivenScorer(give), Told())
    node = Node(count)
    pages = [await _page(which, node, start, size) for start in range(0, count + size, size)]
    paged = [int(name) for page in pages for name, _ in page]
    in_window = min(window, count)
    scored = max(min(5, in_window), round(share * in_window))
    assert sorted(paged[:scored]) == list(range(scored))
    assert paged[scored:] == list(range(scored, count))
    for page in pages:
        assert [score for _, score in page] == sorted((score for _, score in page), reverse=True)
