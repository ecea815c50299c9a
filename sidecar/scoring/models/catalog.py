"""The model card's models and their successors: names, shapes, heads and published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.scoring.models.heads import Head


@dataclass(frozen=True, slots=True)
class Shape:
    """An encoder's shape; ``parameters`` follow from it."""

    architecture: str
    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int = 30_522

    @property
    def parameters(self) -> int:
        """Weights of embeddings and layers: what a download and a device must hold, but for the small head."""
        embeddings = (self.vocabulary + 512 + 2 + 2) * self.width
        layer = 4 * self.width * (self.width + 1) + 2 * self.width * self.inner + self.inner + 5 * self.width
        return embeddings + self.layers * layer


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One known model. Figures are the card's: nDCG@10 on TREC DL 2019, MRR@10 on MS MARCO dev, V100 docs/s."""

    name: str
    repository: str
    shape: Shape
    head: Head
    ndcg10: float | None = None
    mrr10: float | None = None
    documents_per_second: int | None = None


_TINY_2 = Shape("BERT", 2, 128, 512, 2)
_TINY_4 = Shape("BERT", 4, 312, 1200, 12)
_TINY_6 = Shape("BERT", 6, 768, 3072, 12)
_BASE = Shape("BERT", 12, 768, 3072, 12)
_LARGE = Shape("BERT", 24, 1024, 4096, 16)
_MULTILINGUAL = Shape("BERT", 12, 768, 3072, 12, 105_879)
_ELECTRA = Shape("ELECTRA", 12, 768, 3072, 12)
_HUB = "cross-encoder/ms-marco-"


def _minilm(layers: int) -> CatalogModel:
    name = f"{_HUB}MiniLM-L{layers}-v2"
    return CatalogModel(name, name, Shape("BERT", layers, 384, 1536, 12), "one_logit")


def _hub(name: str, today: str, shape: Shape, *figures: float) -> CatalogModel:
    ndcg10, mrr10, speed = figures or (None, None, None)
    found = None if speed is None else int(speed)
    return CatalogModel(_HUB + name, _HUB + today, shape, "one_logit", ndcg10, mrr10, found)


def _two(name: str, shape: Shape, ndcg10: float, mrr10: float | None, speed: int) -> CatalogModel:
    return CatalogModel(name, name, shape, "two_logits", ndcg10, mrr10, speed)


CATALOG: tuple[CatalogModel, ...] = (
    _hub("TinyBERT-L-2", "TinyBERT-L2", _TINY_2, 67.43, 30.15, 9000),
    _hub("TinyBERT-L-4", "TinyBERT-L4", _TINY_4, 68.09, 34.50, 2900),
    _hub("TinyBERT-L-6", "TinyBERT-L6", _TINY_6, 69.57, 36.13, 680),
    _hub("electra-base", "electra-base", _ELECTRA, 71.99, 36.41, 340),
    _two("nboost/pt-tinybert-msmarco", _TINY_4, 63.63, 28.80, 2900),
    _two("nboost/pt-bert-base-uncased-msmarco", _BASE, 70.94, 34.75, 340),
    _two("nboost/pt-bert-large-msmarco", _LARGE, 73.36, 36.48, 100),
    _two("Capreolus/electra-base-msmarco", _ELECTRA, 71.23, None, 340),
    _two("amberoad/bert-multilingual-passage-reranking-msmarco", _MULTILINGUAL, 68.40, None, 330),
    _hub("TinyBERT-L2-v2", "TinyBERT-L2-v2", _TINY_2),
    _hub("TinyBERT-L4", "TinyBERT-L4", _TINY_4),
    _hub("TinyBERT-L6", "TinyBERT-L6", _TINY_6),
    *map(_minilm, (2, 4, 6, 12)),
)
CARD = CATALOG[:9]
"""The nine models that the card lists, by the names it lists them under."""


def repository(name: str) -> str:
    """Return today's repository of a name that the card once used; other names are their own repository."""
    return next((model.repository for model in CATALOG if model.name == name), name)


def row(model: CatalogModel) -> tuple[str, ...]:
    """Return a model's table row: name, architecture, layers x width, parameters, head, and the card's figures."""
    shape = model.shape
    figures = (model.ndcg10, model.mrr10, model.documents_per_second)
    return (
        model.name,
        shape.architecture,
        f"{shape.layers} x {shape.width}",
        f"{shape.parameters / 1e6:.1f} M",
        model.head.replace("_", " "),
        *("-" if figure is None else f"{figure:g}" if figure >= 100 else f"{figure:.2f}" for figure in figures),
    )


COLUMNS = ("name", "architecture", "layers x width", "parameters", "head", "nDCG@10", "MRR@10", "documents/s")


def markdown(models: Iterable[CatalogModel] = CATALOG) -> str:
    """Return the catalog as a Markdown table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(("`" + name + "`", *rest) for name, *rest in map(row, models))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
