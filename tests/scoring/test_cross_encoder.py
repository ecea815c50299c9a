"""The engine for Python programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sidecar.errors import ModelError
from sidecar.scoring import CrossEncoder
from tests.checkpoints import make_checkpoint
from tests.scoring.test_equality import reference

QUERY = "how do I read a zip archive"
DOCUMENTS = ["a zip archive", "the mean of the data", "parse the options of a program", "read a file in an archive"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Iterator[CrossEncoder]:
    with CrossEncoder(str(checkpoint), dtype="float32", threads=1) as encoder:
        yield encoder


def test_predict_gives_transformers_logits(encoder: CrossEncoder, checkpoint: Path) -> None:
    scores = encoder.predict([(QUERY, document) for document in DOCUMENTS])
    assert (str(scores.dtype), scores.shape) == ("float32", (4,))
    np.testing.assert_allclose(scores, reference(checkpoint, QUERY, DOCUMENTS), atol=1e-4)


def test_predict_keeps_the_order_of_pairs_of_many_queries(encoder: CrossEncoder) -> None:
    pairs = [(f"{QUERY} {i % 3}", f"{DOCUMENTS[i % 4]} number {i}") for i in range(2500)]
    scores = encoder.predict(pairs)
    some = [0, 1, 2, 1200, 2047, 2048, 2499]
    np.testing.assert_allclose(scores[some], [encoder.predict([pairs[i]])[0] for i in some], atol=1e-4)


def test_no_pairs_no_scores(encoder: CrossEncoder) -> None:
    assert encoder.predict([]).shape == (0,)
    assert encoder.rank(QUERY, []) == []


def test_rank_is_best_first_and_names_what_was_given(encoder: CrossEncoder) -> None:
    ranked = encoder.rank(QUERY, DOCUMENTS)
    scores = encoder.predict([(QUERY, document) for document in DOCUMENTS])
    assert [hit.index for hit in ranked] == list(np.argsort(-scores))
    assert [hit.document for hit in ranked] == [DOCUMENTS[hit.index] for hit in ranked]
    assert [hit.score for hit in ranked] == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
    assert [hit.index for hit in encoder.rank(QUERY, DOCUMENTS, top_k=2)] == [hit.index for hit in ranked[:2]]


def test_equal_documents_keep_their_order(encoder: CrossEncoder) -> None:
    assert [hit.index for hit in encoder.rank(QUERY, ["same text"] * 5)] == [0, 1, 2, 3, 4]


def test_calls_from_several_threads(encoder: CrossEncoder) -> None:
    found: dict[int, list[int]] = {}

    def rank(number: int) -> None:
        found[number] = [hit.index for hit in encoder.rank(f"{QUERY} {number}", DOCUMENTS)]

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [hit.index for hit in encoder.rank(f"{QUERY} {n}", DOCUMENTS)] for n in range(8)}


def test_describe_says_what_runs(encoder: CrossEncoder, checkpoint: Path) -> None:
    assert encoder.describe()[str(checkpoint)]["dtype"] == "float32"


def test_closing_waits_for_the_threads_and_failing_to_open_leaves_none(checkpoint: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    encoder = CrossEncoder(str(checkpoint), threads=1)
    ours = set(threading.enumerate()) - before
    encoder._engine._tokenizing.submit(threading.Event().wait, 0.5)  # a text that takes long
    encoder.close()
    assert [thread.name for thread in ours if thread.is_alive()] == []
    encoder.close()
    with pytest.raises(ModelError, match="is not a directory"):
        CrossEncoder(str(tmp_path / "nothing"))
    assert set(threading.enumerate()) - before == set()


def test_what_another_thread_waits_for_is_given_up_when_closing(checkpoint: Path) -> None:
    encoder = CrossEncoder(str(checkpoint), threads=1)
    pool = encoder._engine._tokenizing
    entered, leave = threading.Barrier(pool._max_workers + 1), threading.Event()
    raised: list[BaseException] = []

    def hold() -> None:
        entered.wait()
        leave.wait()

    def predict() -> None:
        try:
            encoder.predict([("a", "b")])
        except BaseException as problem:
            raised.append(problem)

    for _ in range(pool._max_workers):
        pool.submit(hold)
    entered.wait()
    asking = threading.Thread(target=predict)
    asking.start()
    while pool._work_queue.empty():  # what was asked waits behind them
        asking.join(0.001)
    closing = threading.Thread(target=encoder.close)
    closing.start()
    leave.set()
    closing.join()
    asking.join()
    assert len(raised) == 1


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="max_lenght"):
        CrossEncoder(max_lenght=5)
