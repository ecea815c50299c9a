"""Fetches a model from the hub, or from a mirror of it, and holds every file against the hub's own hashes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from sidecar.errors import ModelError
from sidecar.scoring.models.catalog import repository

_PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors", "model-*.safetensors"]
_CHUNK = 1 << 20
_PATIENCE = 10.0
_UNKNOWN = frozenset({"RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"})


def quiet() -> None:
    """Keep progress bars of the hub's client, and lines beside the log's own, out of standard error."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").handlers.clear()


def cached(name: str, revision: str | None) -> Path | None:
    """Return the folder of a repository's newest snapshot on this machine, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository(name), revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def download(name: str, revision: str | None) -> Path:
    """Fetch a repository's files, weights as safetensors where it has them; give their folder.

    HF_ENDPOINT, HTTPS_PROXY, HF_TOKEN and HF_HOME are honoured, as the hub's own client honours them.

    Raises:
        Exception: whatever the hub's client raises; callers word it.
    """
    from huggingface_hub import HfApi, snapshot_download

    wanted = repository(name)
    info = HfApi().model_info(wanted, revision=revision, timeout=_PATIENCE)  # one try: who waits tries again
    has_safetensors = any(file.rfilename.endswith(".safetensors") for file in info.siblings or [])
    patterns = _PATTERNS if has_safetensors else [*_PATTERNS, "pytorch_model*.bin"]
    return Path(snapshot_download(wanted, revision=revision, allow_patterns=patterns))


def why(name: str, problem: Exception) -> str:
    """Return what a failure of the hub's client means."""
    kind = type(problem).__name__
    if kind in _UNKNOWN:
        hint = "check its name and revision, and HF_TOKEN if it is private"
        return f"the hub has no model {name!r} for you ({kind}): {hint}"
    return f"the hub could not be reached for {name!r} ({kind}: {problem}; HTTPS_PROXY and HF_ENDPOINT are honoured)"


def verify(name: str, revision: str | None, folder: Path) -> int:
    """Hold a snapshot's files against the hub's hashes; give how many were held.

    Raises:
        ModelError: a file differs.
    """
    from huggingface_hub import HfApi

    info = HfApi().model_info(repository(name), revision=revision, files_metadata=True)
    held = [entry for entry in info.siblings or [] if (folder / entry.rfilename).is_file()]
    for entry in held:
        if not _matches(folder / entry.rfilename, entry):
            raise ModelError(
                f"{folder / entry.rfilename} is not what the hub has: delete {folder.parent.parent} and pull it again"
            )
    return len(held)


def _matches(file: Path, entry: Any) -> bool:
    """Large files are known by their SHA-256, small ones by their git blob id."""
    if entry.lfs is not None:
        return _digest(hashlib.sha256(), file) == str(entry.lfs.sha256)
    if entry.blob_id is None:
        return True
    blob = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    return _digest(blob, file) == str(entry.blob_id)


def _digest(digest: Any, file: Path) -> str:
    with file.open("rb") as source:
        while piece := source.read(_CHUNK):
            digest.update(piece)
    return str(digest.hexdigest())
