"""Times and sizes as configured: numbers, or Elasticsearch's units. Pure.

Source: Elasticsearch reference, "API conventions", time and byte size units.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_TIME_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTE_UNITS = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}


def _with_unit(value: Any, units: dict[str, Any], example: str) -> Any:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", value.lower())
    if found is None or found[2] not in units:
        raise ValueError(f"expected a number with a unit ({', '.join(units)}), such as {example!r}")
    return float(found[1]) * units[found[2]]


Duration = Annotated[
    float,
    BeforeValidator(lambda v: _with_unit(v, _TIME_UNITS, "500ms")),
    Field(gt=0),
    WithJsonSchema({"type": ["number", "string"], "description": "seconds, or a time such as 500ms, 2s, 1m"}),
]
Delay = Annotated[
    float,
    BeforeValidator(lambda v: _with_unit(v, _TIME_UNITS, "500ms")),
    Field(ge=0),
    WithJsonSchema({"type": ["number", "string"], "description": "seconds, or a time such as 500ms, 2s, 1m"}),
]
ByteSize = Annotated[
    int,
    BeforeValidator(lambda v: int(_with_unit(v, _BYTE_UNITS, "64mb")) if isinstance(v, str) else v),
    Field(ge=0),
    WithJsonSchema({"type": ["integer", "string"], "description": "bytes, or a size such as 64mb, 1gb"}),
]
