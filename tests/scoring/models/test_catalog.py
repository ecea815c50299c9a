"""The card's models by name, and their heads."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.config import model as config
from sidecar.errors import ModelError
from sidecar.scoring.models.catalog import CARD, CATALOG, markdown, repository
from sidecar.scoring.models.heads import declared_labels, head_of, relevance


def test_the_cards_nine_models_with_their_published_figures() -> None:
    found = {m.name: (m.ndcg10, m.mrr10, m.documents_per_second) for m in CARD}
    assert found == {
        "cross-encoder/ms-marco-TinyBERT-L-2": (67.43, 30.15, 9000),
        "cross-encoder/ms-marco-TinyBERT-L-4": (68.09, 34.50, 2900),
        "cross-encoder/ms-marco-TinyBERT-L-6": (69.57, 36.13, 680),
        "cross-encoder/ms-marco-electra-base": (71.99, 36.41, 340),
        "nboost/pt-tinybert-msmarco": (63.63, 28.80, 2900),
        "nboost/pt-bert-base-uncased-msmarco": (70.94, 34.75, 340),
        "nboost/pt-bert-large-msmarco": (73.36, 36.48, 100),
        "Capreolus/electra-base-msmarco": (71.23, None, 340),
        "amberoad/bert-multilingual-passage-reranking-msmarco": (68.40, None, 330),
    }


def test_successors_are_listed_and_names_are_unique() -> None:
    names = [m.name.removeprefix("cross-encoder/ms-marco-") for m in CATALOG]
    wanted = {"TinyBERT-L2-v2", "TinyBERT-L4", "TinyBERT-L6", *(f"MiniLM-L{n}-v2" for n in (2, 4, 6, 12))}
    assert wanted <= set(names)
    assert len(set(names)) == len(names)


def test_old_names_lead_to_todays_repositories() -> None:
    assert repository("cross-encoder/ms-marco-TinyBERT-L-4") == config.Engine().model
    assert repository("someone/something") == "someone/something"


def test_parameters_follow_from_the_shape() -> None:
    sizes = {m.name: m.shape.parameters / 1e6 for m in CATALOG}
    assert sizes["nboost/pt-bert-base-uncased-msmarco"] == pytest.approx(109.5, abs=1)  # BERT's own counts
    assert sizes["nboost/pt-bert-large-msmarco"] == pytest.approx(335.1, abs=1.2)
    assert sizes["cross-encoder/ms-marco-MiniLM-L6-v2"] == pytest.approx(22.7, abs=0.2)


def test_the_table_has_a_row_for_each_model() -> None:
    assert markdown().count("\n") == len(CATALOG) + 1


def test_one_logit_is_the_relevance_and_never_goes_through_a_softmax() -> None:
    logits = np.array([[-3.0], [0.5], [2.0]], dtype=np.float32)
    assert relevance(logits, "one_logit").tolist() == [-3.0, 0.5, 2.0]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert len(set(softmax[:, 0].tolist())) == 1  # what a softmax would make of them: all the same


def test_two_logits_order_as_the_probability_of_label_1() -> None:
    logits = np.array([[0.0, 1.0], [2.0, 2.5], [1.0, -1.0]], dtype=np.float32)
    probability = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert np.argsort(relevance(logits, "two_logits")).tolist() == np.argsort(probability).tolist()


@pytest.mark.parametrize(
    ("labels", "wanted", "message"),
    [
        (3, "auto", "the model has 3 labels; a cross-encoder that ranks has one logit or two"),
        (1, "two_logits", "engine.head is two_logits, but the model has 1 label"),
    ],
)
def test_heads_that_do_not_fit_say_so(labels: int, wanted: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        head_of(labels, wanted)


def test_labels_are_read_as_transformers_reads_them() -> None:
    assert declared_labels({"id2label": {"0": "LABEL_0"}, "num_labels": 5}) == 1
    assert declared_labels({"num_labels": 2}) == 2
    assert declared_labels({}) is None
