"""What a race found is kept for the next start, and nothing that is wrong with the disk is an error."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from sidecar.scoring.local import laps
from sidecar.scoring.local.laps import Record, keep, read, record_file

RECORD = Record(
    fastest="onnx float32",
    speeds={"onnx float32": 20_000.0, "torch bfloat16": 10_000.0},
    out={"onnx int8": "it ranks otherwise"},
    token_budget=1024,
    tokens_per_second=21_000.0,
)


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    file = record_file(tmp_path / "cache", "a model")
    keep(file, RECORD)
    keep(file, RECORD)
    assert read(file) == RECORD
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_record_is_of_one_model_processor_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {record_file(tmp_path, "a model", 2), record_file(tmp_path, "a model", 4), record_file(tmp_path, "another")}
    monkeypatch.setattr(laps, "processor", lambda: "another processor")
    files.add(record_file(tmp_path, "a model", 2))
    monkeypatch.setattr(laps, "_version", lambda library: f"a newer {library}")
    files.add(record_file(tmp_path, "a model", 2))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    files.add(record_file(tmp_path, "a model", 2))
    assert len(files) == 6


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{",
        b"null",
        b"\xff\x00",
        b'{"fastest":"onnx float32"}',
        b'{"fastest":"onnx float32","token_budget":"many","tokens_per_second":1.0}',
        b'{"fastest":"onnx float32","token_budget":0,"tokens_per_second":1.0}',
        b'{"fastest":"onnx float32","token_budget":1024,"tokens_per_second":-1.0}',
        b'{"fastest":"onnx float32","token_budget":1024,"tokens_per_second":1.0}' + b" " * 70_000 + b"x",
        b"[" * 60_000,
    ],
)
def test_a_broken_record_is_none_and_is_written_anew(written: bytes, tmp_path: Path) -> None:
    file = record_file(tmp_path, "a model")
    file.parent.mkdir()
    file.write_bytes(written)
    assert read(file) is None
    keep(file, RECORD)
    assert read(file) == RECORD


def test_a_folder_in_a_record_s_place_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = record_file(tmp_path, "a model")
    file.mkdir(parents=True)
    assert read(file) is None
    keep(file, RECORD)
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_cannot_be_written_is_told_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with caplog.at_level(logging.INFO):
        keep(record_file(tmp_path / "cache", "a model"), RECORD)
    assert "race at every start, since their times cannot be kept" in caplog.text


def test_the_oldest_records_are_forgotten(tmp_path: Path) -> None:
    files = [record_file(tmp_path, number) for number in range(70)]
    for age, file in enumerate(files):
        keep(file, RECORD)
        os.utime(file, (1e9 + age, 1e9 + age))
    keep(record_file(tmp_path, "the last"), RECORD)
    left = set(files[0].parent.iterdir())
    assert len(left) == 64
    assert files[-1] in left
    assert files[0] not in left
