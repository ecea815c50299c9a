"""What a race between the ways to run a model found, kept on disk for the next start.

A record is a few hundred bytes, named by all that could change its outcome: model, processor, threads, versions.
Nothing that goes wrong with the disk is an error: then the race is run at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sidecar.scoring.local.cpu import processor

_FORMAT = 1
_MOST = 64  # records; the oldest go
_LARGEST = 1 << 16  # bytes of a record; what is larger is none
_LIBRARIES = ("onnxruntime", "torch", "transformers", "elasticsearch-rescoring-sidecar")
_SETTINGS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")
_log = logging.getLogger("sidecar.scoring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fastest way, each way's tokens a second, why some are out; the winner's best batch and its speed there.

    Where the processor was ``disturbed`` by others, between several ways the next start lets them race again.
    """

    fastest: str
    speeds: Mapping[str, float] = field(default_factory=dict)
    out: Mapping[str, str] = field(default_factory=dict)
    disturbed: bool = False
    token_budget: int
    tokens_per_second: float


def record_file(folder: Path, *told: object) -> Path:
    """Return where the record is of a race between what ``told`` names, on this machine, with these libraries."""
    here = [_FORMAT, processor(), platform.python_version(), [_version(name) for name in _LIBRARIES]]
    settings = [os.environ.get(name) for name in _SETTINGS]
    return folder / "laps" / f"{hashlib.sha256(repr([here, settings, told]).encode()).hexdigest()[:32]}.json"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def read(file: Path) -> Record | None:
    """Return a record, None where there is none that can be read."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_LARGEST)
        record = msgspec.json.decode(raw, type=Record)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return record if len(raw) < _LARGEST and record.token_budget > 0 and record.tokens_per_second > 0 else None


def keep(file: Path, record: Record) -> None:
    """Write a record whole or not at all, and forget the oldest where there are many."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            written = Path(folder) / file.name
            written.write_bytes(msgspec.json.encode(record))
            written.replace(file)
        _forget(file.parent)
    except OSError as problem:
        _log.info("the ways to run a model race at every start, since their times cannot be kept: %s", problem)


def _forget(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.json"), key=_age)
    for file in newest_first[_MOST:]:
        with contextlib.suppress(OSError):
            file.unlink()


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:  # another process forgot it
        return float("inf")
