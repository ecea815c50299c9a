"""Passages from Python sources, parsed and never imported."""

import ast
from pathlib import Path

import pytest

from sidecar.demo.stdlib_docs import Documented, Passage, module_name, passages, signature_of, split

SOURCE = '''"""A module about shapes and areas."""
raise SystemExit("imported!")

class Shape(object):
    """Something that has an area."""
    def area(self, scale: float = 1.0) -> float:
        """Give the area of this shape."""
    def _hidden(self):
        """Nobody outside should read this."""

async def fetch(url, *, timeout=3):
    """Fetch the shape from a server."""

def short(): "Too short."
'''


def test_passages_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def (:")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "helper.py").write_text('"""Tests are no documentation."""')
    assert passages(tmp_path) == [
        Passage("shapes", "shapes", "", "A module about shapes and areas."),
        Passage("shapes", "shapes.Shape", "class Shape(object)", "Something that has an area."),
        Passage(
            "shapes",
            "shapes.Shape.area",
            "area(self, scale: float=1.0) -> float",
            "Give the area of this shape.",
        ),
        Passage("shapes", "shapes.fetch", "fetch(url, *, timeout=3)", "Fetch the shape from a server."),
    ]


def test_this_pythons_library_gives_thousands_with_unique_ids() -> None:
    found = passages()
    assert len(found) > 3000
    assert len({each.id for each in found}) == len(found)
    assert {"shutil.copytree", "json", "collections.Counter.most_common"} <= {each.id for each in found}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("json/__init__.py", "json"),
        ("json/decoder.py", "json.decoder"),
        ("_pydatetime.py", "datetime"),
        ("posixpath.py", "os.path"),
        ("_weakrefset.py", None),
        ("test/support.py", None),
        ("site-packages/x.py", None),
        ("config-3.11/x.py", None),
        ("__init__.py", None),
    ],
)
def test_public_module_names(path: str, name: str | None) -> None:
    assert module_name(Path(path)) == name


def test_long_texts_are_cut_between_paragraphs() -> None:
    text = "\n\n".join([" ".join(["word"] * 100), " ".join(["more"] * 80), "end"])
    assert [len(piece.split()) for piece in split(text, 160)] == [100, 81]
    assert split("one\n\n\n\ntwo") == ["one\n\n\n\ntwo"]
    assert split("") == []


def test_a_long_signature_is_cut() -> None:
    node = ast.parse(f"def f({', '.join(f'argument{i}' for i in range(60))}): pass").body[0]
    assert isinstance(node, Documented)
    assert len(signature_of(node)) == 160
