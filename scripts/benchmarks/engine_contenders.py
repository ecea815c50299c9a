"""The contenders of the engine benchmark: ours in its variants, and its peers, all from (query, texts) to logits."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_exports import Contender, Score, Scores, export, exported, fastest, load
from benchmarks.engine_models import Request

_FLASHRANK = ("ms-marco-TinyBERT-L-2-v2", "flashrank-TinyBERT-L-2-v2.onnx")  # the names it looks for


@contextmanager
def contenders(directory: Path, device: str, threads: int, sample: Request) -> Iterator[list[Contender]]:
    """Load every contender; the first is the reference: transformers, padded, fp32."""
    import torch

    torch.set_num_threads(threads)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with ExitStack() as stack:
        ours = [stack.enter_context(_ours(directory, device, threads, **how)) for how in _variants(device)]
        yield [_transformers(directory, device), *ours, *_peers(directory, device, sample)]


def _variants(device: str) -> list[dict[str, str]]:
    auto, full = {"dtype": "auto"}, {"backend": "torch", "dtype": "float32"}
    onnx = [{"backend": "onnx", "dtype": "float32"}, {"backend": "onnx", "dtype": "int8"}]
    return [auto, full, *(onnx if device == "cpu" else [])]


@contextmanager
def _ours(directory: Path, device: str, threads: int, **how: str) -> Iterator[Contender]:
    from sidecar.scoring import CrossEncoder

    settings: dict[str, Any] = {"device": device, "threads": threads, "document_cache": 0, **how}
    with CrossEncoder(str(directory), cache_dir=str(directory / "cache"), score_cache=0, **settings) as encoder:

        def score(query: str, documents: Sequence[str]) -> Scores:
            return encoder.predict([(query, document) for document in documents])

        [chosen] = encoder.describe().values()
        name = f"ours {how.get('backend')} {how['dtype']}"
        if how["dtype"] == "auto":
            name = f"ours auto ({chosen['backend'].partition(' ')[0]} {chosen['dtype']})"
        yield Contender(name=name, score=score, exact=chosen["dtype"] == "float32", ours=True)


def _peers(directory: Path, device: str, sample: Request) -> list[Contender]:
    half = [_sentence_transformers(directory, device, "bfloat16", sample)]
    full = [_sentence_transformers(directory, device), _sentence_transformers(directory, device, "float32", sample)]
    if device != "cpu":
        return [*full, *half]
    others = [_flashrank(directory), _torch_int8(directory)]
    return [*full, *half, *others, *exported(directory, sample)]


def _padded(tokenizer: Any, model: Any, device: str) -> Score:
    import torch

    def score(query: str, documents: Sequence[str]) -> Scores:
        with torch.inference_mode():
            encoded = tokenizer(
                [query] * len(documents),
                list(documents),
                padding=True,
                truncation="longest_first",
                max_length=512,
                return_tensors="pt",
            )
            found: Scores = model(**encoded.to(device)).logits[:, 0].float().cpu().numpy()
            return found

    return score


def _transformers(directory: Path, device: str) -> Contender:
    tokenizer, model = load(directory)
    return Contender(name="transformers padded", score=_padded(tokenizer, model.to(device), device), exact=True)


def _torch_int8(directory: Path) -> Contender:
    import torch

    tokenizer, model = load(directory)
    quantization: Any = torch.ao.quantization
    quantized = quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return Contender(name="torch int8 padded", score=_padded(tokenizer, quantized, "cpu"), exact=False)


def _sentence_transformers(
    directory: Path, device: str, dtype: str | None = None, sample: Request | None = None
) -> Contender:
    """Its defaults; or, with a sample, SDPA attention, this arithmetic and the batch size that is fastest on it."""
    import torch
    from sentence_transformers import CrossEncoder

    options = {} if dtype is None else {"dtype": getattr(torch, dtype), "attn_implementation": "sdpa"}
    model = CrossEncoder(
        str(directory), device=device, max_length=512, activation_fn=torch.nn.Identity(), model_kwargs=options
    )

    def scored(size: int) -> Score:
        return lambda query, documents: np.asarray(
            model.predict([(query, document) for document in documents], batch_size=size, show_progress_bar=False),
            dtype=np.float32,
        )

    if sample is None:
        return Contender(name="sentence-transformers", score=scored(32), exact=True)
    best = min((4, 8, 16, 32, 64, 128), key=lambda size: fastest(scored(size), sample))
    name = f"sentence-transformers best {dtype} (batch {best})"
    return Contender(name=name, score=scored(best), exact=dtype == "float32")


def _flashrank(directory: Path) -> Contender:
    """FlashRank's own loop on our weights, laid out as it expects its downloads; its sigmoid is undone."""
    from flashrank import Ranker, RerankRequest

    name, file = _FLASHRANK
    home = directory / "flashrank" / name
    home.mkdir(parents=True)
    for each in ("tokenizer.json", "special_tokens_map.json", "config.json"):
        (home / each).symlink_to(directory / each)
    settings = '{"model_max_length": 512, "pad_token": "[PAD]"}'
    (home / "tokenizer_config.json").write_text(settings)
    export(directory, home / file)
    ranker = Ranker(model_name=name, cache_dir=str(home.parent), max_length=512)

    def score(query: str, documents: Sequence[str]) -> Scores:
        passages = [{"id": i, "text": document} for i, document in enumerate(documents)]
        ranked = ranker.rerank(RerankRequest(query=query, passages=passages))
        found = np.empty(len(ranked), np.float64)
        for hit in ranked:
            found[hit["id"]] = hit["score"]
        return np.log(found / (1 - found)).astype(np.float32)

    return Contender(name="FlashRank (ONNX Runtime)", score=score, exact=True)


def disagreement(reference: Scores, found: Scores, exact: bool) -> str | None:
    """Say how scores differ by more than they may: 1e-3 at fp32; otherwise they must correlate by 0.9."""
    if exact:
        worst = float(np.abs(reference - found).max())
        return f"differs by {worst:.2g}" if worst > 1e-3 else None
    together = float(np.corrcoef(reference, found)[0, 1])
    return f"correlates by {together:.3f} only" if together < 0.9 else None
