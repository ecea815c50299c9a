"""Fine-tunes the student on the mined groups: which text answers, and how the teacher sees them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertForSequenceClassification

MAX_LENGTH = {"sentences": 96, "wiki": 192, "movies": 160, "scifact": 256, "pubmed": 224, "medquad": 160}
REPEATS = {"scifact": 2}
_TAKEN = {"sentences": 7000, "medquad": 1200, "movies": 5000}
_TEACHER_TEMPERATURE = 0.06
_DISTILLED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train. ``groups`` is the batch size in groups of one query with at most ``texts`` texts."""

    groups: int = 12
    texts: int = 6
    learning_rate: float = 1.2e-4
    warm_up: float = 0.06
    passes: int = 1
    seed: int = 20261124
    checkpoint_every: int = 200


def schedule(step: int, total: int, warm_up: float) -> float:
    """Return the share of the learning rate: linear up, then linear down to zero."""
    start = max(1, int(total * warm_up))
    return (step + 1) / start if step < start else max(0.0, (total - step) / max(1, total - start))


def batches(path: Path, settings: Settings) -> list[list[dict[str, Any]]]:
    """Return all batches in training order: groups of like length together, the batches shuffled."""
    rng = random.Random(settings.seed)
    rows = list(_rows(path, settings.texts))
    cut: list[list[dict[str, Any]]] = []
    for _ in range(settings.passes):
        again = [row for row in rows for _ in range(REPEATS.get(row["collection"], 1))]
        again.sort(key=lambda row: (_length(row), rng.random()))
        found = [again[i : i + settings.groups] for i in range(0, len(again), settings.groups)]
        rng.shuffle(found)
        cut += found
    return cut


def _rows(path: Path, texts: int) -> Iterator[dict[str, Any]]:
    """Yield the mined groups (already shuffled), the first so many of the large collections."""
    counts: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            counts[row["collection"]] = counts.get(row["collection"], 0) + 1
            if counts[row["collection"]] <= _TAKEN.get(row["collection"], 1 << 30):
                yield row | {name: row[name][:texts] for name in ("texts", "labels", "teacher")}


def _length(row: dict[str, Any]) -> int:
    longest = max(map(len, row["texts"])) + len(row["query"])
    return min(MAX_LENGTH[row["collection"]], longest // 4) // 16


def collate(tokenizer: Tokenizer, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Encode a batch's pairs, padded to the longest: `(pairs, tokens)` integer tensors."""
    tokenizer.enable_truncation(max(MAX_LENGTH[row["collection"]] for row in rows))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([(row["query"], text) for row in rows for text in row["texts"]])
    return {
        "input_ids": torch.tensor([e.ids for e in encoded]),
        "token_type_ids": torch.tensor([e.type_ids for e in encoded]),
        "attention_mask": torch.tensor([e.attention_mask for e in encoded]),
    }


def loss_of(logits: torch.Tensor, rows: list[dict[str, Any]]) -> torch.Tensor:
    """Return the mean over groups of the listwise cross-entropy and the divergence from the teacher."""
    losses, start = [], 0
    for row in rows:
        end = start + len(row["texts"])
        predicted = functional.log_softmax(logits[start:end], dim=0)
        teacher = functional.softmax(torch.tensor(row["teacher"]) / _TEACHER_TEMPERATURE, dim=0)
        distilled = functional.kl_div(predicted, teacher, reduction="sum")
        losses.append((1 - _DISTILLED) * -predicted[0] + _DISTILLED * distilled)
        start = end
    return torch.stack(losses).mean()


def optimizer_of(model: BertForSequenceClassification, rate: float) -> torch.optim.AdamW:
    """Return the optimizer. Word embeddings stay as they are: they are most of the weights and well trained."""
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    head = [*model.classifier.parameters(), *(p for name, p in model.named_parameters() if ".pooler." in name)]
    fresh = {id(parameter) for parameter in head}
    body = [p for p in model.parameters() if p.requires_grad and id(p) not in fresh]
    return torch.optim.AdamW([{"params": body, "lr": rate}, {"params": head, "lr": rate * 3}], weight_decay=0.01)


def train(
    model: BertForSequenceClassification, tokenizer: Tokenizer, mined: Path, work: Path, settings: Settings
) -> None:
    """Train in place, taking up from the last checkpoint in ``work``."""
    torch.manual_seed(settings.seed)
    cut = batches(mined, settings)
    optimizer = optimizer_of(model, settings.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: schedule(s, len(cut), settings.warm_up))
    checkpoint = work / "checkpoint.pt"
    done = _resume(checkpoint, model, optimizer, scheduler)
    model.train()
    for step, loss in _steps(model, tokenizer, cut, done, optimizer, scheduler):
        if step % 50 == 0:
            print(json.dumps({"step": step, "of": len(cut), "loss": round(loss, 4), "time": round(time.time())}))
        if step % settings.checkpoint_every == 0:
            _save(checkpoint, step, model, optimizer, scheduler)
    model.train(False)


def _steps(
    model: BertForSequenceClassification,
    tokenizer: Tokenizer,
    cut: list[list[dict[str, Any]]],
    done: int,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LambdaLR,
) -> Iterator[tuple[int, float]]:
    with Progress() as progress:
        task = progress.add_task("training", total=len(cut), completed=done)
        for step, rows in enumerate(cut[done:], start=done + 1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(**collate(tokenizer, rows)).logits.float().squeeze(-1)
            loss = loss_of(logits, rows)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            progress.update(task, completed=step)
            yield step, float(loss.detach())


def _save(path: Path, step: int, model: Any, optimizer: Any, scheduler: Any) -> None:
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "scheduler": scheduler.state_dict()}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def _resume(path: Path, model: Any, optimizer: Any, scheduler: Any) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for holder in ("model", "optimizer", "scheduler"):
        {"model": model, "optimizer": optimizer, "scheduler": scheduler}[holder].load_state_dict(state[holder])
    return int(state["step"])
