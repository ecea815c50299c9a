"""The commands that are clients themselves, before a real OpenSearch."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch.helpers import async_bulk

from sidecar.cli import main
from sidecar.elasticsearch.connection import connect
from tests.opensearch.conftest import ask, create


def test_check_config_names_product_and_derived_fields(
    node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(node, "/derived", method="DELETE")
    script = {"type": "text", "script": {"source": "emit(doc['tag'].value)"}}
    create(node, "derived", {"properties": {"tag": {"type": "keyword"}}, "derived": {"told": script}})
    file = tmp_path / "sidecar.yaml"
    file.write_text("indices: {articles: {fields: [title, nope]}, derived: {fields: [told], text_from: fields}}\n")
    assert main(["check-config", str(file), "--upstream", node, "--quiet"]) == 2
    said = capsys.readouterr().err
    version = ask(node, "/", method="GET").value["version"]["number"]
    assert f"upstream: OpenSearch {version}" in said
    assert "indices.articles: articles: title (text)" in said
    assert "indices.articles: articles: nope: no such field" in said
    assert "indices.derived: derived: told (text)" in said


async def test_demo_and_eval_are_clients_of_an_opensearch(node: str) -> None:
    async with connect(node, None, 30) as client:
        await client.options(ignore_status=404).indices.delete(index="connected")
        await client.indices.create(index="connected", mappings={"properties": {"title": {"type": "text"}}})
        await async_bulk(client, ({"_index": "connected", "title": f"fox {i}"} for i in range(20)), refresh=True)
        found = await client.search(index="connected", query={"match": {"title": "fox"}}, size=20)
        assert len(found["hits"]["hits"]) == 20
