"""The short version of `scripts/fuzz search`, and that it finds faults that were mended when they come back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hardening import search_world
from hardening.fuzz_search import fuzz
from hardening.search_world import World

from sidecar.elasticsearch import json_bytes
from sidecar.rescoring import window
from sidecar.rescoring.first_stage import FirstStage
from sidecar.scoring.local import tokenization
from sidecar.scoring.local.loaded import Loaded
from tests.checkpoints import make_checkpoint

SEED = 5


@pytest.fixture(scope="module")
def world(elasticsearch_url: str) -> Iterator[World]:
    with search_world.built(elasticsearch_url, SEED) as made:
        yield made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_checkpoint(tmp_path_factory.mktemp("models") / "tiny"))


async def test_generated_searches_break_no_law(elasticsearch_url: str, world: World, model: str) -> None:
    report = await fuzz(elasticsearch_url, world, model, SEED, lambda report: report.cases < 192)
    assert [str(found) for found in report.found] == []
    assert report.uncovered() == []


def _failed_shards_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FirstStage, "partial", False)


def _size_is_taken_to_matter_nowhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(window, "_depends_on_size", lambda _: False)


def _only_plain_json_is_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(json_bytes, "strict", lambda text, *, names: text)


def _scores_differ_with_the_batch(patch: pytest.MonkeyPatch) -> None:
    numbers, plain = itertools.count(), tokenization._pair

    def unnamed(*ids: Any) -> tokenization.EncodedPair:
        return replace(plain(*ids), key=str(next(numbers)).encode())

    def noisy(_: Loaded, logits: Any) -> Any:  # what a batch does to a logit, at a place where it is sure to show
        return logits[:, 0] + np.arange(len(logits), dtype=np.float32) * 1e-6

    patch.setattr(tokenization, "_pair", unnamed)
    patch.setattr(Loaded, "relevance", noisy)


@pytest.mark.parametrize(
    ("put_back", "laws", "seed"),  # seeds that come to it soon
    [
        (_failed_shards_are_overlooked, {"changed around the hits", "page of another length"}, 5),
        (_size_is_taken_to_matter_nowhere, {"changed around the hits", "a hit that is not the node's"}, 3),
        (_only_plain_json_is_read, {"unasked: unreadable_answer"}, 5),
        (_scores_differ_with_the_batch, {"equal texts, other scores", "equal texts left the node's order"}, 5),
    ],
)
async def test_a_fault_that_comes_back_is_found(
    put_back: Callable[[pytest.MonkeyPatch], None],
    laws: set[str],
    seed: int,
    elasticsearch_url: str,
    world: World,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_back(monkeypatch)
    report = await fuzz(
        elasticsearch_url,
        world,
        model,
        seed,
        lambda report: report.cases < 320 and not laws & set(report.laws),
        shrinking=0,
    )
    assert laws & set(report.laws)
