"""`sidecar score`: JSON lines in, the same lines with a score out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sidecar import cli
from sidecar.scoring import CrossEncoder
from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"))


def expected(checkpoint: Path, *pairs: tuple[str, str]) -> list[float]:
    with CrossEncoder(str(checkpoint)) as encoder:
        return [float(score) for score in encoder.predict(pairs)]


def test_lines_keep_all_they_hold_and_get_a_score(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        '{"query": "zip", "document": "a zip archive", "n": 1e400, "big": 12345678901234567890, "s": "\\u00e9"}  ',
        "",
        '{"n": 1.0, "query":"mean", "document":["the mean","a zip archive", ""] }',
        '{"query": "mean", "document": []}',
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(lines))
    assert cli.main(["score", str(file), "--model", str(checkpoint)]) == 0
    shown = capsys.readouterr()
    first, second, third = shown.out.splitlines()
    assert first.startswith(lines[0].strip()[:-1] + ', "score": ')
    assert second.startswith('{"n": 1.0, "query":"mean", "document":["the mean","a zip archive", ""], "score": [')
    assert json.loads(third)["score"] == []
    found = [json.loads(first)["score"], *json.loads(second)["score"]]
    pairs = [("zip", "a zip archive"), ("mean", "the mean"), ("mean", "a zip archive"), ("mean", "")]
    assert found == pytest.approx(expected(checkpoint, *pairs), abs=1e-4)
    assert shown.err.startswith("4 documents scored in ")


def test_one_query_for_all_lines_from_standard_input_to_a_file(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"text number {i}" for i in range(1100)]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(json.dumps({"body": text}) + "\n" for text in texts)))
    out = tmp_path / "scored.jsonl"
    words = ["--query", "zip", "--field", "body", "--name", "relevance", "--output", str(out)]
    assert cli.main(["score", "-", "--model", str(checkpoint), *words]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["body"] for row in rows] == texts
    assert [rows[i]["relevance"] for i in (0, 1099)] == pytest.approx(
        expected(checkpoint, ("zip", texts[0]), ("zip", texts[1099])), abs=0.05
    )
    assert capsys.readouterr().out == ""


def test_no_lines_no_output(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("\n")
    assert cli.main(["score", str(file), "--model", str(checkpoint)]) == 0
    assert capsys.readouterr().out == ""


WRONG = {
    "not JSON": ("{", "lines.jsonl:2: not valid JSON"),
    "not an object": ("[1]", "lines.jsonl:2: expected a JSON object, found list"),
    "no query": ('{"document": "a"}', "lines.jsonl:2: no 'query' in the line (keys: 'document'); see --query"),
    "no document": ('{"query": "a"}', "lines.jsonl:2: no 'document' in the line (keys: 'query'); see --field"),
    "a number": ('{"query": "a", "document": 7}', "lines.jsonl:2: 'query' must be a text"),
    "a list of numbers": ('{"query": "a", "document": ["b", 7]}', "'document' a text or a list of texts"),
    "scored": ('{"query": "a", "document": "b", "score": 1}', "lines.jsonl:2: the line already has 'score'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_named_before_the_model_is_loaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, message = WRONG[name]
    file = tmp_path / "lines.jsonl"
    file.write_text('{"query": "a", "document": "b"}\n' + line + "\n")
    assert cli.main(["score", str(file), "--model", str(tmp_path / "no-such-model")]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_files_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", str(tmp_path / "nothing.jsonl")]) == 2
    assert "nothing.jsonl: no such file or directory" in capsys.readouterr().err
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"query": "a", "document": "\xe9"}\n')
    assert cli.main(["score", str(latin)]) == 2
    assert "latin.jsonl: not UTF-8 text" in capsys.readouterr().err
    own = tmp_path / "own.jsonl"
    own.write_text('{"query": "a", "document": "b"}\n')
    assert cli.main(["score", str(own), "--output", str(own)]) == 2
    assert "is the input: choose another file" in capsys.readouterr().err
    assert own.read_text() == '{"query": "a", "document": "b"}\n'
