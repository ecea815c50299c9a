"""The model card's models and their successors: names, shapes, heads and published figures."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.scoring.heads import Head


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One known model. Figures are the card's: nDCG@10 on TREC DL 2019, MRR@10 on MS MARCO dev, V100 docs/s."""

    name: str
    repository: str
    architecture: str
    layers: int
    width: int
    head: Head
    ndcg10: float | None = None
    mrr10: float | None = None
    documents_per_second: int | None = None


_HUB = "cross-encoder/ms-marco-"
CATALOG: tuple[CatalogModel, ...] = (
    CatalogModel(f"{_HUB}TinyBERT-L-2", f"{_HUB}TinyBERT-L2", "BERT", 2, 128, "one_logit", 67.43, 30.15, 9000),
    CatalogModel(f"{_HUB}TinyBERT-L-4", f"{_HUB}TinyBERT-L4", "BERT", 4, 312, "one_logit", 68.09, 34.50, 2900),
    CatalogModel(f"{_HUB}TinyBERT-L-6", f"{_HUB}TinyBERT-L6", "BERT", 6, 768, "one_logit", 69.57, 36.13, 680),
    CatalogModel(f"{_HUB}electra-base", f"{_HUB}electra-base", "ELECTRA", 12, 768, "one_logit", 71.99, 36.41, 340),
    CatalogModel(
        "nboost/pt-tinybert-msmarco", "nboost/pt-tinybert-msmarco", "BERT", 4, 312, "two_logits", 63.63, 28.80, 2900
    ),
    CatalogModel(
        "nboost/pt-bert-base-uncased-msmarco",
        "nboost/pt-bert-base-uncased-msmarco",
        "BERT",
        12,
        768,
        "two_logits",
        70.94,
        34.75,
        340,
    ),
    CatalogModel(
        "nboost/pt-bert-large-msmarco",
        "nboost/pt-bert-large-msmarco",
        "BERT",
        24,
        1024,
        "two_logits",
        73.36,
        36.48,
        100,
    ),
    CatalogModel(
        "Capreolus/electra-base-msmarco",
        "Capreolus/electra-base-msmarco",
        "ELECTRA",
        12,
        768,
        "two_logits",
        71.23,
        None,
        340,
    ),
    CatalogModel(
        "amberoad/bert-multilingual-passage-reranking-msmarco",
        "amberoad/bert-multilingual-passage-reranking-msmarco",
        "BERT (multilingual)",
        12,
        768,
        "two_logits",
        68.40,
        None,
        330,
    ),
    CatalogModel(f"{_HUB}TinyBERT-L2-v2", f"{_HUB}TinyBERT-L2-v2", "BERT", 2, 128, "one_logit"),
    CatalogModel(f"{_HUB}TinyBERT-L4", f"{_HUB}TinyBERT-L4", "BERT", 4, 312, "one_logit"),
    CatalogModel(f"{_HUB}TinyBERT-L6", f"{_HUB}TinyBERT-L6", "BERT", 6, 768, "one_logit"),
    CatalogModel(f"{_HUB}MiniLM-L2-v2", f"{_HUB}MiniLM-L2-v2", "BERT", 2, 384, "one_logit"),
    CatalogModel(f"{_HUB}MiniLM-L4-v2", f"{_HUB}MiniLM-L4-v2", "BERT", 4, 384, "one_logit"),
    CatalogModel(f"{_HUB}MiniLM-L6-v2", f"{_HUB}MiniLM-L6-v2", "BERT", 6, 384, "one_logit"),
    CatalogModel(f"{_HUB}MiniLM-L12-v2", f"{_HUB}MiniLM-L12-v2", "BERT", 12, 384, "one_logit"),
)


def repository(name: str) -> str:
    """Give today's repository of a name that the card once used; other names are their own repository."""
    return next((model.repository for model in CATALOG if model.name == name), name)
