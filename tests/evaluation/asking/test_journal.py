"""The journal survives what ends a run, and refuses what is no journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import SidecarError
from sidecar.evaluation.asking.journal import Answer, Journal, key

ANSWER = Answer(outcome="reranked", seconds=0.5, hits=[("a", 1.5), ("ü", 0.25)], stages={"es": 1.0}, ranks=[2, 1])


def test_answers_are_known_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path) as journal:
        assert journal.get("k") is None
        journal.put("k", ANSWER)
    with Journal(path) as journal:
        assert (len(journal), journal.get("k")) == (1, ANSWER)


@pytest.mark.parametrize("torn", ['{"key": "k2", "outco', '{"key": "k2"}', "é"[:1]])
def test_a_line_that_a_kill_left_unended_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.put("k1", ANSWER)
    with path.open("a") as file:
        file.write(torn)
    with Journal(path) as journal:
        assert len(journal) == 1
        journal.put("k3", ANSWER)
    with Journal(path) as journal:
        assert [journal.get(name) for name in ("k1", "k2", "k3")] == [ANSWER, None, ANSWER]


@pytest.mark.parametrize("text", ["something else\n", '{"key": "k"}\n', "[1]\n", '{"hits": []}\n'])
def test_another_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    with pytest.raises(SidecarError, match="not a journal of `sidecar eval`; give another --output"):
        Journal(path)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SidecarError, match="file"):
        Journal(tmp_path / "file" / "journal.jsonl")


def test_keys_depend_on_all_parts_and_not_on_their_order() -> None:
    assert key({"a": 1, "b": [2]}) == key({"b": [2], "a": 1})
    assert key({"a": 1, "b": [2]}) != key({"a": 1, "b": [3]})
