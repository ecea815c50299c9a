"""A person's own file as a collection, and every way it can be wrong."""

from pathlib import Path

import pytest

from sidecar.demo.collection import own_file, standard_library
from sidecar.errors import SidecarError

ASK = ("who?",)


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "My Notes.jsonl"
    path.write_text('{"body": "a", "t": "A"}\n\n{"body": ""}\n{"body": "c", "n": 3}\n', "utf-8")
    collection = own_file(path, "body", "t", ASK)
    assert collection.name == "sidecar-demo-my-notes"
    assert collection.documents == [("1", {"body": "a", "t": "A"}), ("3", {"body": "c", "n": 3})]
    assert collection.fields == ("t", "body")


def test_csv_with_a_byte_order_mark_and_quoted_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('\ufefftext,by\n"two\nlines",me\n', "utf-8")
    assert own_file(path, "text", None, ASK).documents == [("1", {"text": "two\nlines", "by": "me"})]


def test_tsv(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("text\tby\nhello, you\tme\n", "utf-8")
    assert own_file(path, "text", None, ASK).documents == [("1", {"text": "hello, you", "by": "me"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": ', "x.jsonl:2: not valid JSON: Expecting value"),
        ("x.jsonl", b"[1]", "x.jsonl:1: expected a JSON object, found list"),
        ("x.jsonl", b'{"a": 1, "b": 2}', "x.jsonl: no document has text in 'text'; fields: a, b"),
        ("x.csv", b"", "x.csv: no document has text in 'text'; fields: none"),
        ("x.jsonl", b'{"text": "\xe9"}', "x.jsonl: not UTF-8 text"),
        ("x.parquet", b"", "x.parquet: expected one of .jsonl, .ndjson, .csv, .tsv"),
        ("none/x.csv", None, "x.csv: no such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SidecarError) as caught:
        own_file(tmp_path / name, "text", None, ASK)
    assert message in str(caught.value)


def test_an_own_file_needs_a_question(tmp_path: Path) -> None:
    with pytest.raises(SidecarError, match="--query"):
        own_file(tmp_path / "x.csv", "text", None, ())


def test_the_standard_library_has_questions_of_its_own() -> None:
    assert len(standard_library().questions) >= 5
    assert standard_library(["mine"]).questions == ("mine",)
