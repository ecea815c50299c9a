"""`sidecar train` on made data: what is learnt from, what is held out, and a run on a real Elasticsearch."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from elasticsearch import Elasticsearch, helpers

from sidecar import cli
from sidecar.scoring import CrossEncoder
from sidecar.training import learning
from sidecar.training.groups import Batch, Group, batches, decoded, encoded
from sidecar.training.sampling import groups_of, is_held_out, kept_out
from tests.checkpoints import make_checkpoint

INDEX = "learnt-notes"
COLOURS = ("red", "green", "blue", "black", "white", "yellow", "brown", "grey")
THINGS = ("shoe", "bag", "lamp")
DOCUMENTS = {f"{colour}-{thing}": f"a {colour} {thing}" for colour in COLOURS for thing in THINGS}
QUERIES = {f"q{i}": f"{thing} in {colour}" for i, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS)}


@pytest.fixture(scope="module")
def upstream(elasticsearch_url: str) -> Iterator[str]:
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.delete(index=INDEX, ignore_unavailable=True)
        client.indices.create(index=INDEX, mappings={"properties": {"text": {"type": "text"}}})
        actions = ({"_index": INDEX, "_id": i, "_source": {"text": text}} for i, text in DOCUMENTS.items())
        helpers.bulk(client, actions, refresh=True)
        yield elasticsearch_url
        client.indices.delete(index=INDEX)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "queries.tsv").write_text("".join(f"{query}\t{text}\n" for query, text in QUERIES.items()))
    rows = ((query, *text.split(" in ")) for query, text in QUERIES.items())
    lines = [f"{query} 0 {colour}-{thing} 1\n{query} 0 {COLOURS[0]}-lamp 0\n" for query, thing, colour in rows]
    (tmp_path / "qrels.txt").write_text("".join(lines).replace("red-lamp 1\nq2 0 red-lamp 0", "red-lamp 1"))
    return ["--queries", str(tmp_path / "queries.tsv"), "--qrels", str(tmp_path / "qrels.txt"), "--index", INDEX]


def test_a_model_is_trained_written_and_measured_on_queries_held_out(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, saved = make_checkpoint(tmp_path / "start"), tmp_path / "mine"
    words = [*files, "--upstream", upstream, "--field", "text", "--model", str(start), "--save", str(saved)]
    assert cli.main(["train", *words, "--passes", "2", "--held-out", "0.4"]) == 0
    shown = capsys.readouterr().out
    assert "trained against untrained: " in shown
    assert f"engine.model: {saved}" in shown
    record = json.loads((saved / "training.json").read_text())
    held_out = sum(is_held_out(text, 0.4) for text in QUERIES.values())
    assert record["queries"] == len(QUERIES) - held_out
    found = json.loads((saved / "evaluation" / "results.json").read_text())
    assert found["queries"] == held_out
    assert [system["outcomes"] for system in found["systems"][1:]] == [{"reranked": held_out}] * 2
    assert not (saved / "checkpoint.pt").exists()
    with CrossEncoder(str(saved)) as trained, CrossEncoder(str(start)) as before:
        assert (trained.predict([("a", "b")]) != before.predict([("a", "b")])).all()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--held-out", "0.0001"], 2, "and 0 held out: too few of one kind"),
        (["--model", "/no/such/model"], 3, "is not a directory on this machine"),
        (["--index", "absent"], 1, "has no 'absent'"),
    ],
)
def test_every_mistake_is_one_message(
    upstream: str,
    files: list[str],
    tmp_path: Path,
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--upstream", upstream, "--field", "text", "--save", str(tmp_path / "mine")]
    assert cli.main(["train", *files, *given, *words]) == code
    assert message in capsys.readouterr().err


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    assert cli.main(["train", "--save", "x"]) == 3
    assert (
        "extra `train` (torch missing): pip install 'elasticsearch-rescoring-sidecar[train]'" in capsys.readouterr().err
    )


def test_queries_are_split_by_their_words_and_their_answers_are_not_learnt() -> None:
    assert is_held_out(" Red  shoes", 0.5) == is_held_out("red shoes", 0.5)
    share = sum(is_held_out(f"query {i}", 0.3) for i in range(2000)) / 2000
    assert 0.26 < share < 0.34
    qrels = {"q1": {"a": 1, "b": 0}, "q2": {"c": 2}}
    assert kept_out(["q1"], qrels) == {"a"}
    texts = {name: f"text {name}" for name in "abcdef"} | {"empty": " "}
    made = groups_of("q", {"a": 2, "b": 1, "c": 0, "empty": 2}, list("defa"), texts, {"d"}, random.Random(0))
    assert [group.texts[0] for group in made] != []
    for group in made:
        assert "text d" not in group.texts
        assert " " not in group.texts
        assert group.grades[0] == max(group.grades) > min(group.grades) == 0.0
        assert len(set(group.texts)) == len(group.texts)


def test_the_loss_falls_where_better_texts_lead_and_the_anchor_holds() -> None:
    batch = Batch((Group(query="q", texts=("a", "b", "c"), grades=(3.0, 1.0, 0.0)),))
    right, wrong = torch.tensor([3.0, 1.0, -2.0]), torch.tensor([-2.0, 1.0, 3.0])
    assert learning.loss(right, None, batch, 0.0) < learning.loss(wrong, None, batch, 0.0)
    near, far = (learning.loss(right, before, batch, 0.5) for before in (right, wrong))
    assert near < far
    assert [learning.schedule(share, 0.1) for share in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_groups_are_batched_by_length_and_survive_a_file() -> None:
    groups = [Group(query="q", texts=("x" * n, "y"), grades=(1.0, 0.0)) for n in (900, 10, 500, 20)]
    cut = batches(groups, 300)
    assert [group.texts[0] for batch in cut for group in batch.groups] == ["x" * n for n in (10, 20, 500, 900)]
    assert len(cut) > 1
    assert decoded(list(encoded(groups))) == groups
