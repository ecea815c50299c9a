"""The Python standard library's documentation strings as passages: a real collection that every machine has.

Sources are parsed, never imported: importing some modules has effects (`antigravity`) or needs a display.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SKIPPED_PARTS = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "encodings",
        "ensurepip",
        "idle_test",
        "idlelib",
        "lib2to3",
        "ntpath",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
# Files that hold the documentation of a module people know by another name.
_PUBLIC_NAMES = {
    "_collections_abc": "collections.abc",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
    "genericpath": "os.path",
    "posixpath": "os.path",
}
_MAX_WORDS = 160
_MIN_CHARS = 20
_MAX_SIGNATURE = 160

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Passage:
    """One piece of documentation. ``part`` counts the pieces of one long text from 1."""

    module: str
    name: str
    signature: str
    text: str
    part: int = 1

    @property
    def id(self) -> str:
        """Return the document's id."""
        return self.name if self.part == 1 else f"{self.name}#{self.part}"


def passages(root: Path | None = None) -> list[Passage]:
    """Read all passages of the standard library at ``root`` (default: the running Python's)."""
    root = root or Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, Passage] = {}
    for path in sorted(root.rglob("*.py")):
        module = module_name(path.relative_to(root))
        if module is not None:
            for passage in _read(path, module):
                found.setdefault(passage.id, passage)
    return list(found.values())


def module_name(path: Path) -> str | None:
    """Return the module's public name, or None when it is private, a test, or not of the library."""
    parts = [*path.parts[:-1], path.stem] if path.stem != "__init__" else list(path.parts[:-1])
    if not parts or _SKIPPED_PARTS.intersection(parts) or not all(part.isidentifier() for part in parts):
        return None
    parts[0] = _PUBLIC_NAMES.get(parts[0], parts[0])
    return None if any(part.startswith("_") for part in parts) else ".".join(parts)


def _read(path: Path, module: str) -> Iterator[Passage]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old sources hold escapes that newer parsers warn about
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # such as files kept broken on purpose
    yield from _documented(tree, module, module, "")


def _documented(node: ast.Module | Documented, module: str, name: str, signature: str) -> Iterator[Passage]:
    text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
    if len(text) >= _MIN_CHARS:
        for part, piece in enumerate(split(text), start=1):
            yield Passage(module, name, signature, piece, part)
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, Documented) and not child.name.startswith("_"):
                yield from _documented(child, module, f"{name}.{child.name}", signature_of(child))


def signature_of(node: Documented) -> str:
    """Return `name(arguments) -> result`, or `class name(bases)`, cut to a readable length."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    whole = f"{node.name}({ast.unparse(node.args)}){result}"
    return whole if len(whole) <= _MAX_SIGNATURE else whole[: _MAX_SIGNATURE - 1] + "…"


def split(text: str, max_words: int = _MAX_WORDS) -> list[str]:
    """Cut a long text between paragraphs into pieces of at most ``max_words``, where paragraphs allow it."""
    pieces: list[list[str]] = [[]]
    words = 0
    for paragraph in text.split("\n\n"):
        length = len(paragraph.split())
        if words and words + length > max_words:
            pieces.append([])
            words = 0
        pieces[-1].append(paragraph)
        words += length
    return ["\n\n".join(piece).strip("\n") for piece in pieces if "".join(piece).strip()]
