"""What was already asked: one JSON line for each answer, under a key of all that decides it.

A rerun finds what it needs by key, so whatever changed is asked again and the rest is not; a point added to a sweep
costs only itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sidecar.errors import SidecarError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One search's answer. ``seconds`` is the client's wait, ``stages`` are the sidecar's own, in milliseconds.

    ``outcome`` is `direct`, `reranked`, or `passed: reason` and `failed: reason`. ``ranks`` are the hits' first-stage
    ranks, where they were asked for.
    """

    outcome: str
    seconds: float
    hits: list[tuple[str, float]]
    stages: dict[str, float] = field(default_factory=dict)
    ranks: list[int] = field(default_factory=list)


def key(parts: Mapping[str, Any]) -> str:
    """Return the key of what ``parts`` (JSON values) decide."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12).hexdigest()


def parse(lines: Iterable[str]) -> dict[str, Answer]:
    """Read a journal's lines; pure.

    Raises:
        ValueError: a line is not one of a journal.
    """
    found = {}
    for line in lines:
        row = json.loads(line)
        row["hits"] = [(document, score) for document, score in row["hits"]]
        name = row.pop("key")
        found[name] = Answer(**row)
    return found


class Journal:
    """The journal of one output folder, open for appending.

    A last line without its end, of a run that was killed, is dropped.

    Raises:
        SidecarError: the file is something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            found = path.read_bytes() if path.exists() else b""
            whole = found[: found.rfind(b"\n") + 1]
            self._answers = parse(whole.decode().split("\n")[:-1])
            self._file = path.open("ab")
            self._file.truncate(len(whole))
        except OSError as problem:
            raise SidecarError(f"{path}: {(problem.strerror or str(problem)).lower()}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise SidecarError(f"{path}: not a journal of `sidecar eval`; give another --output") from problem

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, name: str) -> Answer | None:
        """Return an answer by its key, None when it was not asked for yet."""
        return self._answers.get(name)

    def put(self, name: str, answer: Answer) -> None:
        """Write an answer down, at once."""
        self._answers[name] = answer
        self._file.write(json.dumps({"key": name, **asdict(answer)}).encode() + b"\n")
        self._file.flush()
