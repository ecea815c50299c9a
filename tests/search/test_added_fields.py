"""Added fields are taken out of `fields`, and nothing else."""

from __future__ import annotations

import pytest

from sidecar.search.added_fields import without
from sidecar.search.json_splice import whole


@pytest.mark.parametrize(
    ("fields", "names", "left"),
    [
        (b'{"a":["x"]}', ["a"], None),
        (b'{ "a" : ["x"], "b" : [1.0] }', ["a"], b'{ "b" : [1.0] }'),
        (b'{"o.a":["x"],"o.b":["y"]}', ["o.a"], b'{"o.b":["y"]}'),
        (b'{"p":[{"t":["x"]},{"t":["y"]}]}', ["p.t"], None),
        (b'{"p":[{"t":["x"],"u":[1]},{"t":["y"]}],"q":[0]}', ["p.t"], b'{"p":[{"u":[1]}],"q":[0]}'),
        (b'{"p":[{"r":[{"s.t":["x"],"v":[1]}]}]}', ["p.r.s.t"], b'{"p":[{"r":[{"v":[1]}]}]}'),
        (b'{"a":["x"],"a.raw":["x"]}', ["a.raw"], b'{"a":["x"]}'),
        (b'{"ab":["x"]}', ["a", "a.b"], b'{"ab":["x"]}'),
    ],
)
def test_what_was_added_goes(fields: bytes, names: list[str], left: bytes | None) -> None:
    assert without(fields, whole(fields), names) == left
