"""`scripts/evaluate`: the same measurement on the project's judged collections; a tiny one stands in here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from evaluation import probes
from evaluation.__main__ import main
from evaluation.judged import Judged, scifact

ABSTRACTS = {"1": "zinc and the common cold", "2": "vitamin C in winter", "3": "sleep and memory"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three abstracts and two claims in SciFact's layout."""
    folder = tmp_path / "data" / "scifact" / "beir"
    folder.mkdir(parents=True)
    corpus = [{"_id": i, "title": text.split()[0], "text": text} for i, text in ABSTRACTS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    claims = [{"_id": "c1", "text": "zinc helps a cold"}, {"_id": "c2", "text": "memory needs sleep"}]
    (folder / "queries.test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in claims))
    (folder / "qrels.test.tsv").write_text("query-id\tcorpus-id\tscore\nc1\t1\t1\nc2\t3\t1\n")
    return tmp_path / "data"


def test_a_collection_is_indexed_and_measured_and_taken_up(
    elasticsearch_url: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--collection", "scifact", "--elasticsearch", elasticsearch_url]
    words += ["--output", str(tmp_path / "out"), "--sweep", "window_size=2", "--sweep", "fusion=replace,rrf"]
    try:
        assert main(words) == 0
        shown = capsys.readouterr()
        assert "scifact: 3 documents" in shown.out
        assert "10 searches, 0 of them known" in shown.err
        found = json.loads((tmp_path / "out" / "scifact" / "results.json").read_text())
        assert found["systems"][0]["values"]["nDCG@10"] == {"c1": 1.0, "c2": 1.0}
        assert main(words) == 0
        assert "10 searches, 10 of them known" in capsys.readouterr().err
    finally:
        with Elasticsearch(elasticsearch_url) as client:
            client.indices.delete(index="scifact", ignore_unavailable=True)


def test_pairs_are_made_alike_every_time_and_differ_in_one_thing() -> None:
    for kind in probes.PAIRS:
        made = probes.pairs(kind)
        assert made == probes.pairs(kind)
        assert len(set(made)) == probes.COUNT
        assert all(pair.right != pair.wrong and pair.query for pair in made)


def test_pairs_need_no_node(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--collection", "pairs", "--max-length", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shares = {line.split()[4].rstrip(":"): int(line.split()[5]) for line in lines}
    assert (shares["numbers"], shares["units"], shares["negations"]) >= (170, 180, 130)


def test_without_the_collections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path)]) == 3
    assert (
        capsys.readouterr().err
        == f"evaluate: {tmp_path} holds no judged collections: give their folder with --data DIR\n"
    )


def test_a_smaller_sample_is_part_of_a_larger_one(data: Path) -> None:
    judged: Judged = scifact(data)
    assert set(judged.sample(1)) < set(judged.sample(2)) == set(judged.sample(None))
