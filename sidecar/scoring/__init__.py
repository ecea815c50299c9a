"""Cross-encoder scoring. ``CrossEncoder`` is the way in for Python programs; the sidecar uses ``engine.Engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.scoring.cross_encoder import CrossEncoder, Ranked

__all__ = ["CrossEncoder", "Ranked"]


def __getattr__(name: str) -> Any:
    """Import on first use: the configuration reads this package's values and must not pay for the engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sidecar.scoring import cross_encoder

    return getattr(cross_encoder, name)
