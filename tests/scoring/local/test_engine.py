"""The engine as a whole, on small real checkpoints: caches, passages, refusals, several models."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.app import Sidecar
from sidecar.config import model as config
from sidecar.config.model import Config
from sidecar.errors import BackendFailed, DeadlineExceeded, ModelError, Overloaded, QueueFull
from sidecar.reasons import Reason
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.local.speed import Speed
from sidecar.scoring.local.warm_up import sample_pairs
from sidecar.scoring.scorer import ScoreRequest
from tests.checkpoints import make_checkpoint

QUERY = "how do I read a zip archive"
DOCUMENTS = ["a zip archive", "the mean of the data", "parse the options of a program", "read a file in an archive"]
REQUEST = ScoreRequest(query=QUERY, documents=DOCUMENTS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("engine"))


@asynccontextmanager
async def running(checkpoint: Path, **settings: Any) -> AsyncIterator[Engine]:
    engine = Engine(config.Engine(**{"model": str(checkpoint), "dtype": "float32", "threads": 1, **settings}))
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


async def test_ready_once_started(checkpoint: Path) -> None:
    engine = Engine(config.Engine(model=str(checkpoint)))
    assert engine.unready == Reason.MODEL_LOADING
    await engine.start()
    assert engine.unready is None
    await engine.close()


async def test_a_model_that_hangs_does_not_hang_closing(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(config.Engine(model=str(checkpoint), threads=1), close_seconds=0.1)
    await engine.start()
    [loaded] = engine._models.values()
    entered, leave = threading.Event(), threading.Event()

    def start(pairs: Any) -> Any:
        entered.set()
        leave.wait()

    loaded.backends[0].start = start  # type: ignore[method-assign]  # no real model hangs when it is asked to
    asked = asyncio.create_task(engine.score(REQUEST))
    await asyncio.to_thread(entered.wait)
    await engine.close()
    assert "a scoring thread still runs 0.1 s after it was told to stop" in caplog.text
    leave.set()
    with pytest.raises(BackendFailed):
        await asked


async def test_what_is_asked_of_a_closed_engine_fails(checkpoint: Path) -> None:
    engine = Engine(config.Engine(model=str(checkpoint), threads=1))
    await engine.start()
    [loaded] = engine._models.values()
    await engine.close()
    with pytest.raises(BackendFailed, match="the engine was closed"):
        await loaded.scheduler.submit(sample_pairs(8, longest=8), float("inf")).future


async def test_no_documents_no_scores(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        assert list((await engine.score(ScoreRequest(query=QUERY, documents=[]))).values) == []


async def test_counts_pairs_and_tokens(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        scores = await engine.score(ScoreRequest(query="zip", documents=["archive", "zip archive"]))
        assert (scores.pairs, scores.tokens, scores.model) == (2, 5 + 6, str(checkpoint))
        assert scores.timings.model > 0


async def test_document_encodings_are_kept(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        first = await engine.score(REQUEST)
        again = await engine.score(ScoreRequest(query=QUERY, documents=[*DOCUMENTS[::-1], "new"]))
        assert list(again.values)[:4] == pytest.approx(list(first.values)[::-1], abs=1e-4)
        stats = engine.stats()
        assert (stats["document_cache_hits_total"], stats["document_cache_misses_total"]) == (4, 5)
        assert stats["document_cache_bytes"] > 0


BACKENDS = [("onnx", "float32"), ("torch", "float32"), ("torch", "bfloat16")]


@pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
async def test_equal_texts_have_equal_scores_in_whatever_batches(backend: str, dtype: str) -> None:
    words = QUERY.split()
    texts = [" ".join(words[i % 4 :] * (1 + i % 9)) for i in range(60)]
    async with running(Path("bundled"), backend=backend, dtype=dtype, token_budget=256) as engine:
        whole = list((await engine.score(ScoreRequest(query="zip", documents=texts))).values)
        by_text = dict(zip(texts, whole, strict=True))
        assert len(set(by_text.values())) > 10
        assert whole == [by_text[text] for text in texts]
        parts = [texts[start : start + size] for size in (1, 2, 3, 7, 19) for start in range(0, 40, size)]
        scored = await engine.score_many([ScoreRequest(query="zip", documents=part) for part in parts])
        for part, scores in zip(parts, scored, strict=True):
            assert not isinstance(scores, BaseException)
            assert list(scores.values) == [by_text[text] for text in part]


async def test_texts_that_are_one_to_the_model_run_once(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        scores = await engine.score(ScoreRequest(query="zip", documents=["zip archive", "ZIP  Archive", "zip"]))
        assert scores.values[0] == scores.values[1] != scores.values[2]
        assert scores.pairs == 3


def held_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Make the tokenizer hang on texts that say so, until the event is set."""
    [loaded] = engine._models.values()
    go_on, encode = threading.Event(), loaded.tokenizer.encode

    def hanging(texts: Sequence[str], *tokens: int) -> Any:
        if "hang" in texts:
            go_on.wait()
        return encode(texts, *tokens)

    monkeypatch.setattr(loaded.tokenizer, "encode", hanging)
    return go_on


async def test_the_deadline_covers_tokenizing(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(checkpoint) as engine:
        go_on = held_up(engine, monkeypatch)
        try:
            with pytest.raises(DeadlineExceeded):
                await engine.score(ScoreRequest(query=QUERY, documents=["hang"], deadline=time.monotonic() + 0.1))
            assert len((await engine.score(REQUEST)).values) == len(DOCUMENTS)  # others have another thread
        finally:
            go_on.set()


async def test_pairs_that_are_tokenized_count_as_waiting(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(checkpoint, max_waiting_pairs=5) as engine:
        go_on = held_up(engine, monkeypatch)
        held = asyncio.create_task(engine.score(ScoreRequest(query=QUERY, documents=["hang", "hang again"])))
        await asyncio.sleep(0)
        assert engine.stats()["waiting_pairs"] == 2
        with pytest.raises(QueueFull):
            await engine.score(REQUEST)
        go_on.set()
        assert len((await held).values) == 2
        assert engine.stats()["waiting_pairs"] == 0


async def test_a_search_with_long_texts_does_not_hold_up_another(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        done: list[str] = []

        async def scored(name: str, documents: list[str]) -> None:
            await engine.score(ScoreRequest(query=QUERY, documents=documents))
            done.append(name)

        long = [asyncio.create_task(scored("long", [f"{i}{' ' * 100_000}" for i in range(400)])) for _ in range(4)]
        await asyncio.sleep(0)
        await scored("short", DOCUMENTS)
        assert done == ["short"]
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)


async def test_document_cache_can_be_off(checkpoint: Path) -> None:
    async with running(checkpoint, document_cache=0) as engine:
        first, again = await engine.score(REQUEST), await engine.score(REQUEST)
        assert list(again.values) == list(first.values)
        assert engine.stats()["document_cache_hits_total"] == 0


async def test_score_cache_can_be_off(checkpoint: Path) -> None:
    async with running(checkpoint, score_cache=0) as engine:
        await engine.score(REQUEST)
        assert (await engine.score(REQUEST)).timings.model > 0
        assert engine.stats()["score_cache_hits_total"] == 0


async def test_score_cache_answers_known_pairs_and_runs_the_rest(checkpoint: Path) -> None:
    async with running(checkpoint, score_cache=1 << 20) as engine:
        first = await engine.score(REQUEST)
        again = await engine.score(REQUEST)
        assert list(again.values) == list(first.values)
        assert (again.timings.model, again.timings.queue) == (0.0, 0.0)
        mixed = await engine.score(ScoreRequest(query=QUERY, documents=["new one", *DOCUMENTS[:2]]))
        assert list(mixed.values)[1:] == list(first.values)[:2]
        other = await engine.score(ScoreRequest(query="another query", documents=DOCUMENTS))
        assert list(other.values) != list(first.values)
        stats = engine.stats()
        assert (stats["score_cache_hits_total"], stats["score_cache_misses_total"]) == (4 + 2, 4 + 1 + 4)
        assert stats["score_cache_bytes"] > 0


async def test_score_cache_keeps_within_its_bytes(checkpoint: Path) -> None:
    async with running(checkpoint, score_cache=500) as engine:
        await engine.score(REQUEST)
        assert 0 < engine.stats()["score_cache_bytes"] <= 500


def seems(engine: Engine, tokens_a_second: float) -> None:
    """Have a device taken for a slow one until its next batch ends."""
    [loaded] = engine._models.values()
    [worker] = loaded.scheduler._workers
    worker.speed = Speed(tokens_a_second)


MANY = [f"zip archive number {i} {'and more ' * (i % 7)}" for i in range(40)]


async def test_a_search_is_scored_as_far_as_there_is_time(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        whole = await engine.score(ScoreRequest(query=QUERY, documents=MANY))
    async with running(checkpoint) as engine:
        seems(engine, 1.0)
        soon = time.monotonic() + 120
        part = await engine.score(ScoreRequest(query=QUERY, documents=MANY, deadline=soon, required=5))
        assert 5 <= len(part.values) < len(MANY)
        assert list(part.values) == list(whole.values)[: len(part.values)]
        assert part.pairs == len(part.values)


async def test_a_search_that_cannot_be_scored_in_time_is_refused_before_the_model_sees_it(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        seems(engine, 0.01)
        soon = time.monotonic() + 120
        for required in (5, None):
            with pytest.raises(Overloaded):
                await engine.score(ScoreRequest(query=QUERY, documents=MANY, deadline=soon, required=required))
        assert engine.stats()["tokens_run_total"] == 0
        assert engine.stats()["waiting_pairs"] == 0


async def test_known_scores_cost_no_time(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        whole = await engine.score(ScoreRequest(query=QUERY, documents=MANY))
        seems(engine, 0.01)
        soon = time.monotonic() + 120
        again = await engine.score(ScoreRequest(query=QUERY, documents=MANY, deadline=soon, required=5))
        assert list(again.values) == list(whole.values)


async def test_a_document_counts_as_scored_once_all_its_passages_are(checkpoint: Path) -> None:
    passages = config.Passages(size=16, stride=16, max_count=8)
    long = ["zip archive " * 30, *MANY]
    async with running(checkpoint) as engine:
        whole = await engine.score(ScoreRequest(query="zip", documents=long, passages=passages))
    async with running(checkpoint) as engine:
        seems(engine, 1.0)
        soon = time.monotonic() + 120
        request = ScoreRequest(query="zip", documents=long, passages=passages, deadline=soon, required=2)
        part = await engine.score(request)
        assert 2 <= len(part.values) < len(long)
        assert list(part.values) == list(whole.values)[: len(part.values)]
        assert part.pairs > len(part.values)


async def test_a_passed_deadline_is_told(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        with pytest.raises(DeadlineExceeded):
            await engine.score(ScoreRequest(query=QUERY, documents=DOCUMENTS, deadline=0.0))
        assert len((await engine.score(REQUEST)).values) == 4


async def test_too_many_pairs_are_refused_with_the_keys_name(checkpoint: Path) -> None:
    async with running(checkpoint, max_waiting_pairs=3) as engine:
        with pytest.raises(QueueFull, match=r"engine\.max_waiting_pairs"):
            await engine.score(REQUEST)
        assert engine.stats()["refused_total"] == 1


async def test_many_requests_fail_in_place(checkpoint: Path) -> None:
    async with running(checkpoint) as engine:
        late = ScoreRequest(query=QUERY, documents=DOCUMENTS, deadline=0.0)
        good, bad, also = await engine.score_many([REQUEST, late, REQUEST])
        assert isinstance(bad, DeadlineExceeded)
        assert not isinstance(good, BaseException)
        assert not isinstance(also, BaseException)
        assert list(good.values) == pytest.approx(list(also.values), abs=1e-4)


AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "max": max,
    "first": lambda values: values[0],
    "mean": lambda values: sum(values) / len(values),
}


@pytest.mark.parametrize("aggregate", AGGREGATES)
async def test_passages_of_a_document_make_one_score(checkpoint: Path, aggregate: Any) -> None:
    words = ["zip", "archive", "file", "read", "write", "mean", "median", "option", "parser", "value"] * 4
    passages = config.Passages(size=16, stride=12, max_count=8, aggregate=aggregate)
    windows = [" ".join(words[start : start + 16]) for start in (0, 12, 24)]
    async with running(checkpoint) as engine:
        whole = ScoreRequest(query="zip", documents=[" ".join(words), "zip"], passages=passages)
        scores = await engine.score(whole)
        parts = await engine.score(ScoreRequest(query="zip", documents=[*windows, "zip"]))
    assert scores.pairs == 4
    expected = [AGGREGATES[aggregate](list(parts.values)[:3]), parts.values[3]]
    assert list(scores.values) == pytest.approx(expected, abs=1e-4)


async def test_models_by_name(checkpoint: Path, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path, seed=5)
    async with running(checkpoint, models={"other": {"model": str(other)}}) as engine:
        default = await engine.score(REQUEST)
        named = await engine.score(ScoreRequest(query=QUERY, documents=DOCUMENTS, model="other"))
        assert (default.model, named.model) == (str(checkpoint), str(other))
        assert list(default.values) != list(named.values)
        assert set(engine.describe()) == {str(checkpoint), str(other)}


async def test_a_model_that_is_nowhere_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a directory on this machine"):
        async with running(tmp_path / "nothing"):
            pass


async def test_health_says_that_scoring_hangs(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = {"host": "127.0.0.1", "port": 0}
    sidecar = Sidecar(Config.model_validate({"listen": listener, "admin": listener}), Engine(config.Engine()))
    assert sidecar.unready() == "starting"
    async with running(checkpoint) as engine:
        sidecar.scorer = engine
        assert sidecar.unready() is None
        [loaded] = engine._models.values()
        monkeypatch.setattr(loaded.scheduler, "hanging", lambda: 1)
        assert engine.stats()["hanging"] == 1
        assert sidecar.unready() == "scoring hangs"
