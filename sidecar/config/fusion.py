"""How the model's score and Elasticsearch's become one, and which way fits which model. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from sidecar.config.section import Section


class Fusion(Section):
    """How the model's score and Elasticsearch's become one. A bare name is short for its defaults."""

    method: Literal["replace", "linear", "rrf"] = Field("replace", description="Which fusion.")
    weight: float = Field(0.7, ge=0, le=1, description="linear: share of the model; the rest is first-stage.")
    normalize: Literal["min_max", "z_score"] = Field("min_max", description="linear: scaling over the window.")
    rank_constant: int = Field(60, ge=1, description="rrf: the k of 1/(k+rank).")
    keep_sure: bool = Field(
        True,
        description="Hits that Elasticsearch is sure of never sink: they hold a number or code that hardly another "
        "holds, or have a score far above the rest.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value


BUNDLED = "bundled"
"""What the model that comes with the sidecar is called."""


def fitting(model: str) -> Fusion:
    """Return the fusion that fits a model, for mappings that name none.

    The bundled model is small and general: alone it loses to BM25 on some collections, with BM25's score beside it on
    none for sure. The hub's models for web search were trained to order hits alone.
    """
    return Fusion(method="linear", weight=0.5) if model == BUNDLED else Fusion()


def told(fusion: Fusion) -> str:
    """Return a fusion in words."""
    how = {"linear": f" {fusion.weight:g}", "rrf": f" {fusion.rank_constant}", "replace": ""}
    return fusion.method + how[fusion.method]
