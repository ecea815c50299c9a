"""The corpus of hostile HTTP, replayed over raw sockets at a real node and at a sidecar before it."""

from __future__ import annotations

from urllib.parse import urlsplit

from elasticsearch import Elasticsearch
from hardening.faults.node import FaultyNode
from hardening.hostile import CORPUS, Hostile
from hardening.hostile_replay import faults, replay

from tests.http.conftest import sidecar_before


async def test_hostile_requests_are_answered_as_elasticsearch_does_or_refused_as_documented(
    elasticsearch_url: str,
) -> None:
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.delete(index="hostile", ignore_unavailable=True)
        client.indices.create(index="hostile", mappings={"properties": {"t": {"type": "text"}}})
        client.index(index="hostile", id="1", document={"t": "fox"}, refresh=True)
    port = urlsplit(elasticsearch_url).port or 9200
    node = FaultyNode(port)
    await node.start()
    async with sidecar_before(f"http://127.0.0.1:{node.port}", indices={"hostile": {"fields": ["t"]}}) as sidecar:
        found = await replay(port, sidecar.port, node, CORPUS)
    await node.stop()
    assert found == []


def test_the_corpus_is_large_and_each_case_its_own() -> None:
    assert len({case.sent for case in CORPUS}) == len({case.name for case in CORPUS}) == len(CORPUS) >= 250
    assert sum(case.refused is None for case in CORPUS) > 80


def test_a_request_that_slips_through_is_noticed() -> None:
    refused, same = Hostile("x", b"x", 400), Hostile("x", b"x")
    assert faults(refused, [], [(400, b'{"error":1}')], []) == []
    assert faults(refused, [], [(200, b"{}")], [])
    assert faults(refused, [], [(400, b'{"error":1}')], ["GET /x"])
    assert faults(refused, [], [(400, b'{"error":1}'), (200, b"")], [])
    assert faults(same, [(200, b"a")], [(200, b"b")], [])
    assert faults(same, [(200, b"a")], [(200, b"a")], ["GET /smuggled"])
