"""Elasticsearch's `filter_path`, applied to bytes after rescoring.

`*` matches within a name, `**` one or more names, `\\.` is a dot of a name, a leading `-` excludes; arrays are
transparent. Includes are applied first, then excludes. What a filter empties goes with it; what was empty stays
unless only includes would tell. Source: Elasticsearch reference, "Response filtering"; each case observed on 9.5.3 and
8.19.

Each is one pass over the bytes, however many filters there are and however deep the answer is nested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sidecar.elasticsearch.lenient_json import without_comments
from sidecar.elasticsearch.wildcard import ANY, Patterns

_DOT = re.compile(r"(?<!\\)\.")
_ESCAPED = re.compile(r"\\.")
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = re.compile(rb"[ \t\r\n]*+")
_NAME = re.compile(rb"(" + _STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)
_SCALAR = re.compile(_STRING + rb'|[^"\[\]{},: \t\r\n]++', re.DOTALL)
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+', re.DOTALL)
_LONGEST: Final = 4096  # what Elasticsearch's default allows for a whole request line
_KNOWN: Final = 1024
_WHOLE: Final = -1
_STRAY: Final = re.compile(r"\\(?!\.)")


def too_long(filters: str | None) -> bool:
    """Return whether filters are more than are applied here: what they cost grows with their length."""
    return filters is not None and len(filters) > _LONGEST


def excludes(filters: str | None) -> bool:
    """Return whether filters hold any that OpenSearch applies in another way.

    These are exclusions, names that are empty, and backslashes before anything but a dot.
    """
    given = [each.strip() for each in (filters or "").split(",")]
    return any(each.startswith("-") or each.endswith(".") or _STRAY.search(each) for each in given)


def apply(body: bytes, filters: str) -> bytes:
    """Return the filtered body; an empty object when nothing is left. What follows the value (`pretty`) stays.

    Raises:
        ValueError: the body is not JSON.
    """
    given = [part.strip() for part in filters.split(",") if part.strip()]
    value = without_comments(body).rstrip(b" \t\r\n")
    end = body[len(value) :]
    nothing = b"{ }" if end else b"{}"
    includes = [part for part in given if not part.startswith("-")]
    excludes = [part[1:].strip() for part in given if part.startswith("-")]
    if includes:
        value = _Pass(value, _Paths(includes), keep=True).result() or nothing
    if excludes:
        value = _Pass(value, _Paths(excludes), keep=False).result() or nothing
    return value + end


def _names(text: str) -> list[str]:
    """Split a filter at its dots; a dot that would leave a name empty is part of the last name."""
    parts = _DOT.split(text)
    whole = next((i for i, part in enumerate(parts[:-1]) if not part), len(parts))
    names = parts[:whole] + [".".join(parts[whole:])] * (whole < len(parts))
    return [_ESCAPED.sub(".", name) if "\\." in name else name for name in names]


class _Paths:
    """All filters at once. A state tells which names of which filters may come next, as places in ``Patterns``."""

    def __init__(self, filters: Iterable[str]) -> None:
        paths = [_names(text) for text in filters if text]
        names = [name for path in paths for name in path]
        self._patterns = Patterns(names)
        starts, ends = self._patterns.starts, self._patterns.ends
        self._ends = sum(ends)
        self._any_depth = sum(start for name, start in zip(names, starts, strict=True) if name == 2 * ANY)
        self.start = self._last = 0
        at = 0
        for path in paths:
            self.start |= starts[at]
            at += len(path)
            self._last |= ends[at - 1]
        self._known: dict[tuple[int, str], int] = {}

    def below(self, state: int, name: str) -> int:
        """Return the state for a member, ``_WHOLE`` for one that is matched to a filter's end."""
        key = (state, name)
        found = self._known.get(key)
        if found is None:
            ended = self._patterns.after(state, name) & self._ends
            found = _WHOLE if ended & self._last else (ended << 1) | (state & self._any_depth)
            if len(self._known) < _KNOWN:
                self._known[key] = found
        return found


@dataclass(slots=True)
class _Open:
    """An object or array that is being read.

    Its output begins at ``mark``, separators and name before it counted; ``last`` is where its last member ended.
    """

    end: bytes
    state: int
    mark: int
    last: int
    empty: bool = True
    kept: bool = False


class _Pass:
    """One pass over a body. ``keep``: what no filter matches goes; otherwise what one matches goes."""

    def __init__(self, text: bytes, paths: _Paths, *, keep: bool) -> None:
        self._text = text
        self._view = memoryview(text)
        self._paths = paths
        self._keep = keep
        self._out: list[memoryview] = []
        self._stack: list[_Open] = []

    def result(self) -> bytes:
        """Return what is left, nothing when nothing is."""
        at = self._after(_SPACE, 0)
        if not self._opens(at):
            return b"" if self._keep else self._text
        at = self._open(at, self._paths.start, 0)
        while self._stack:
            at = self._step(self._stack[-1], at)
        return b"".join(self._out)

    def _opens(self, at: int) -> bool:
        return self._text[at : at + 1] in (b"{", b"[")

    def _after(self, pattern: re.Pattern[bytes], at: int) -> int:
        found = pattern.match(self._text, at)
        if found is None:
            raise ValueError("not JSON")
        return found.end()

    def _open(self, at: int, state: int, mark: int) -> int:
        inside = self._after(_SPACE, at + 1)
        self._stack.append(_Open(b"}" if self._text[at : at + 1] == b"{" else b"]", state, mark, inside))
        self._out.append(self._view[at:inside])
        return inside

    def _step(self, inside: _Open, at: int) -> int:
        """Read one member or element, or the end, of the innermost value that is open."""
        if self._text[at : at + 1] == inside.end:
            return self._close(at + 1)
        if not inside.empty:
            if self._text[at : at + 1] != b",":
                raise ValueError("not JSON")
            at = self._after(_SPACE, at + 1)
        inside.empty = False
        if inside.end == b"]":
            return self._value(inside, at, at, inside.state)
        found = _NAME.match(self._text, at)
        if found is None:
            raise ValueError("not JSON")
        return self._value(inside, at, found.end(), self._paths.below(inside.state, _decoded(found[1])))

    def _value(self, inside: _Open, start: int, at: int, state: int) -> int:
        """Read the value at ``at``; its name, where it has one, is at ``start``."""
        ends_here = state == _WHOLE
        opens = self._opens(at)
        if opens and state and not ends_here:
            mark = len(self._out)
            self._write(inside, start, at)
            return self._open(at, state, mark)
        end = self._skipped(at) if opens else self._after(_SCALAR, at)
        if ends_here == self._keep:
            self._write(inside, start, end)
            inside.kept = True
        inside.last = end
        return self._after(_SPACE, end)

    def _write(self, inside: _Open, start: int, end: int) -> None:
        """Write these bytes, and before them what separates them from the member before; none separates the first."""
        self._out.append(self._view[inside.last if inside.kept else start : end])

    def _close(self, end: int) -> int:
        closed = self._stack.pop()
        left = closed.kept or (closed.empty and not self._keep)
        if left:
            self._out.append(self._view[closed.last : end])
        else:
            del self._out[closed.mark :]
        if self._stack:
            self._stack[-1].kept |= left
            self._stack[-1].last = end
        return self._after(_SPACE, end)

    def _skipped(self, at: int) -> int:
        """Return where the object or array ends that starts at ``at``."""
        depth = 0
        while True:
            at = self._after(_TO_BRACKET, at)
            bracket = self._text[at : at + 1]
            if not bracket:
                raise ValueError("not JSON")
            depth += 1 if bracket in b"{[" else -1
            at += 1
            if depth == 0:
                return at


def _decoded(name: bytes) -> str:
    text = name[1:-1]
    decoded = text.decode("utf-8", "surrogateescape")
    return str(json.loads(f'"{decoded}"')) if "\\" in decoded else decoded
