"""Learns from groups, step by step: listwise cross-entropy on grades, and an anchor to the model as it was.

The anchor is the divergence from the starting model's own view of a list. With few judgments it keeps what the model
knew; without it, a hundred queries are learnt by heart. A run that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from sidecar.training.groups import Batch, Group, batches

Told = Callable[[int, int, float], None]
"""Told after each step: the step, of how many, and the loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to learn. ``tokens`` bounds a batch; ``minutes`` ends the run, the learning rate falling towards that end."""

    passes: int = 2
    learning_rate: float = 3e-5
    warm_up: float = 0.06
    anchor: float = 0.3
    tokens: int = 8192
    seed: int = 0
    minutes: float | None = None
    checkpoint_seconds: float = 120.0


def steps(groups: Sequence[Group], settings: Settings) -> list[Batch]:
    """Return all batches in the order they are learnt in; each pass in another order."""
    rng = random.Random(settings.seed)  # noqa: S311 - an order, no secret
    found: list[Batch] = []
    for _ in range(settings.passes):
        shuffled = rng.sample(groups, len(groups))
        cut = batches(shuffled, settings.tokens)
        found += rng.sample(cut, len(cut))
    return found


def schedule(share: float, warm_up: float) -> float:
    """Return the part of the learning rate after ``share`` of the run: linear up, then linear down to zero."""
    if share < warm_up:
        return max(share, 1e-3) / warm_up
    return max(0.0, (1.0 - share) / (1.0 - warm_up))


def relevance(logits: torch.Tensor) -> torch.Tensor:
    """Return `(pairs,)` relevance from `(pairs, labels)` logits of one label or two."""
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def inputs(tokenizer: Tokenizer, batch: Batch, device: torch.device, *, segments: bool) -> dict[str, torch.Tensor]:
    """Encode a batch's pairs, padded to the longest: `(pairs, tokens)` integer tensors."""
    tokenizer.enable_truncation(batch.max_length, strategy="only_second" if _fits(batch) else "longest_first")
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([(group.query, text) for group in batch.groups for text in group.texts])
    found = {
        "input_ids": torch.tensor([e.ids for e in encoded]),
        "attention_mask": torch.tensor([e.attention_mask for e in encoded]),
    }
    if segments:
        found["token_type_ids"] = torch.tensor([e.type_ids for e in encoded])
    return {name: tensor.to(device) for name, tensor in found.items()}


def _fits(batch: Batch) -> bool:
    """Return whether every query leaves room for its text."""
    return all(len(group.query) < group.max_length * 2 for group in batch.groups)


def loss(predicted: torch.Tensor, before: torch.Tensor | None, batch: Batch, anchor: float) -> torch.Tensor:
    """Return the mean over groups.

    Args:
        predicted: the model's relevance of all pairs, `(pairs,)`.
        before: the starting model's, `(pairs,)`, or None where nothing is anchored.
        batch: the groups.
        anchor: the weight of the divergence from the starting model.
    """
    losses, start = [], 0
    for group in batch.groups:
        end = start + len(group.texts)
        now = functional.log_softmax(predicted[start:end], dim=0)
        grades = torch.tensor(group.grades, device=predicted.device)
        wanted = -(now * grades / grades.sum().clamp_min(1e-9)).sum()
        if before is not None and group.anchored:
            then = functional.log_softmax(before[start:end], dim=0)
            wanted = (1 - anchor) * wanted + anchor * functional.kl_div(now, then, reduction="sum", log_target=True)
        losses.append(wanted)
        start = end
    return torch.stack(losses).mean()


def optimizer_of(model: Any, rate: float) -> torch.optim.AdamW:
    """Return the optimizer. Word embeddings stay: they are most of the weights, and few lists reach few of them."""
    model.get_input_embeddings().weight.requires_grad_(False)
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.01)


def learn(
    model: Any, tokenizer: Tokenizer, groups: Sequence[Group], settings: Settings, work: Path, told: Told
) -> None:
    """Train ``model`` in place, going on from the checkpoint in ``work`` if there is one."""
    torch.manual_seed(settings.seed)
    before = copy.deepcopy(model).eval() if settings.anchor > 0 else None
    run = _Run(model, before, tokenizer, settings, optimizer_of(model, settings.learning_rate))
    plan = steps(groups, settings)
    done, spent = _resumed(work / "checkpoint.pt", run)
    model.train()
    for dropout in (module for module in model.modules() if isinstance(module, torch.nn.Dropout)):
        dropout.p = 0.0  # few passes: what is dropped is lost
    for step, value in _stepped(run, plan, done, spent, work / "checkpoint.pt"):
        told(step, len(plan), value)
    model.eval()


@dataclass(slots=True)
class _Run:
    model: Any
    before: Any
    tokenizer: Tokenizer
    settings: Settings
    optimizer: torch.optim.AdamW

    def step(self, batch: Batch, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * schedule(share, self.settings.warm_up)
        device = next(self.model.parameters()).device
        segments = getattr(self.model.config, "type_vocab_size", 0) > 1
        given = inputs(self.tokenizer, batch, device, segments=segments)
        value = loss(self._now(given), self._then(given, batch), batch, self.settings.anchor)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(value.detach())

    def _now(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.autocast(given["input_ids"].device.type, dtype=torch.bfloat16):
            return relevance(self.model(**given).logits.float())

    def _then(self, given: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor | None:
        if self.before is None or not any(group.anchored for group in batch.groups):
            return None
        with torch.no_grad(), torch.autocast(given["input_ids"].device.type, dtype=torch.bfloat16):
            return relevance(self.before(**given).logits.float())


def _stepped(
    run: _Run, plan: Sequence[Batch], done: int, spent: float, checkpoint: Path
) -> Iterator[tuple[int, float]]:
    started = saved = time.monotonic()
    limit = run.settings.minutes and run.settings.minutes * 60
    for step, batch in enumerate(plan[done:], start=done + 1):
        used = spent + time.monotonic() - started
        share = max((step - 1) / len(plan), used / limit if limit else 0.0)
        if share >= 1.0:
            return
        yield step, run.step(batch, share)
        if time.monotonic() - saved > run.settings.checkpoint_seconds:
            saved = time.monotonic()
            _save(checkpoint, run, step, spent + saved - started)


def _save(path: Path, run: _Run, step: int, spent: float) -> None:
    state = {"step": step, "spent": spent, "model": run.model.state_dict(), "optimizer": run.optimizer.state_dict()}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _resumed(path: Path, run: _Run) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["spent"])
