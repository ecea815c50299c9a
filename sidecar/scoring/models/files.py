"""Finds a model's files: a local directory, the bundled model, the hub's cache, or the hub.

Code that comes with a model is never run, and pickled weights are only read as plain tensors.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.errors import ModelError
from sidecar.scoring.models import hub

BUNDLED = "bundled"
INSTALL_TORCH = "pip install 'elasticsearch-rescoring-sidecar[torch]'"
_BUNDLED_DIR = Path(__file__).parent.parent.parent / "bundled" / "minilm-l4-rescorer"
_log = logging.getLogger("sidecar.scoring")
_WAYS_OUT = (
    "use the model that comes with the sidecar and needs no download: `--model bundled`, or"
    " `engine: {{model: bundled}}` in the file. Or give a local directory as engine.model, or run"
    " `sidecar models pull {name}` where the hub can be reached and share its HF_HOME"
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model is. ``revision`` tells versions apart in caches."""

    name: str
    directory: Path
    revision: str

    def config(self) -> dict[str, Any]:
        """Read config.json.

        Raises:
            ModelError: it is missing or not JSON.
        """
        try:
            found = json.loads((self.directory / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise ModelError(f"{self.directory}: no readable config.json: {problem}") from problem
        return dict(found)


def find(model: str, revision: str | None = None) -> ModelFiles:
    """Find a model by hub id, directory, or `bundled`.

    Raises:
        ModelError: it is nowhere to be had; says the three ways out.
    """
    if model == BUNDLED:
        return _local(BUNDLED, _BUNDLED_DIR)
    if Path(model).is_dir():
        return _local(model, Path(model))
    if model.startswith((".", "/", "~")):
        raise ModelError(f"engine.model {model!r} is not a directory on this machine")
    return _from_hub(model, revision)


def _local(name: str, directory: Path) -> ModelFiles:
    if not (directory / "config.json").exists():
        raise ModelError(f"{directory} holds no config.json: not a Hugging Face model directory")
    weights = sorted(directory.glob("*.safetensors")) + sorted(directory.glob("pytorch_model*.bin"))
    stamp = "-".join(f"{file.stat().st_size}.{file.stat().st_mtime_ns}" for file in weights)
    return ModelFiles(name, directory, stamp or "no-weights")


def _from_hub(model: str, revision: str | None) -> ModelFiles:
    hub.quiet()
    found = hub.cached(model, revision)
    if found is not None:
        return _snapshot(model, found)
    _log.info("the model %s is not on this machine: asking the hub for it", model)
    try:
        return _snapshot(model, hub.download(model, revision))
    except Exception as problem:
        ways = _WAYS_OUT.format(name=model)
        raise ModelError(f"{model!r} is not on this machine, and {hub.why(model, problem)}: {ways}") from problem


def _snapshot(model: str, path: Path) -> ModelFiles:
    if not any(path.glob("*.safetensors")) and not any(path.glob("pytorch_model*.bin")):
        raise ModelError(f"the hub's cache of {model!r} at {path} holds no weights: pull it again")
    return ModelFiles(model, path, path.name)
