"""The contenders of the engine benchmark: ours in its variants, and its peers, all from (query, texts) to logits."""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.engine_models import Request

Scores = npt.NDArray[np.float32]
Score = Callable[[str, Sequence[str]], Scores]
_FLASHRANK = ("ms-marco-TinyBERT-L-2-v2", "flashrank-TinyBERT-L-2-v2.onnx")  # the names it looks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to score. ``exact`` ones compute in fp32 and must agree; the others must rank alike."""

    name: str
    score: Score
    exact: bool
    ours: bool = False


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
    return [*full, *half, _flashrank(directory), _onnxruntime(directory, sample), _torch_int8(directory)]


def _load(directory: Path, **options: Any) -> tuple[Any, Any]:
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(directory)
    return tokenizer, library.AutoModelForSequenceClassification.from_pretrained(directory, **options).eval()


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
    tokenizer, model = _load(directory)
    return Contender(name="transformers padded", score=_padded(tokenizer, model.to(device), device), exact=True)


def _torch_int8(directory: Path) -> Contender:
    import torch

    tokenizer, model = _load(directory)
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
    best = min((4, 8, 16, 32, 64, 128), key=lambda size: _fastest(scored(size), sample))
    name = f"sentence-transformers best {dtype} (batch {best})"
    return Contender(name=name, score=scored(best), exact=dtype == "float32")


def _fastest(score: Score, sample: Request) -> float:
    """Return the shorter of two runs, in seconds."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        score(sample.query, sample.documents)
        times.append(time.perf_counter() - started)
    return min(times)


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


def _onnxruntime(directory: Path, sample: Request) -> Contender:
    """ONNX Runtime as one would drive it by hand: torch's export, pairs sorted by length, the fastest batch size."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    export(directory, directory / "peer.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch_threads()
    session = onnxruntime.InferenceSession(str(directory / "peer.onnx"), options, providers=["CPUExecutionProvider"])

    def scored(size: int) -> Score:
        def score(query: str, documents: Sequence[str]) -> Scores:
            tokenizer.no_padding()
            encoded = tokenizer.encode_batch([(query, document) for document in documents])
            order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
            found = np.empty(len(encoded), np.float32)
            for start in range(0, len(order), size):
                places = order[start : start + size]
                found[places] = session.run(["logits"], _inputs([encoded[i] for i in places]))[0][:, 0]
            return found

        return score

    best = min((4, 8, 16, 32), key=lambda size: _fastest(scored(size), sample))
    return Contender(name=f"ONNX Runtime, sorted (batch {best})", score=scored(best), exact=True)


def torch_threads() -> int:
    """Return the threads that all contenders were given."""
    import torch

    return torch.get_num_threads()


def _inputs(encoded: Sequence[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Return ids, mask and types padded to the longest, `(pairs, longest)`."""
    shape = (len(encoded), max(len(e.ids) for e in encoded))
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    inputs = {name: np.zeros(shape, np.int64) for name in parts}
    for name, attribute in parts.items():
        for row, each in enumerate(encoded):
            inputs[name][row, : len(each.ids)] = getattr(each, attribute)
    return inputs


def export(directory: Path, file: Path) -> None:
    """Export a checkpoint with torch's own exporter, as FlashRank's models are: ids, mask and types in, logits out."""
    import torch

    _, model = _load(directory, attn_implementation="eager")
    ids = torch.randint(5, 99, (2, 16))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[1, 9:] = 0  # an example without padding would let the mask be dropped
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        model,
        (),
        str(file),
        kwargs=inputs,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=dict(zip(inputs, itertools.repeat(sizes), strict=False)),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def disagreement(reference: Scores, found: Scores, exact: bool) -> str | None:
    """Say how scores differ by more than they may: 1e-3 at fp32; otherwise they must correlate by 0.9."""
    if exact:
        worst = float(np.abs(reference - found).max())
        return f"differs by {worst:.2g}" if worst > 1e-3 else None
    together = float(np.corrcoef(reference, found)[0, 1])
    return f"correlates by {together:.3f} only" if together < 0.9 else None
