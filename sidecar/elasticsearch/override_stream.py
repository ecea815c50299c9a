"""Takes `ext.rescore` out of bodies that are too large to be read whole, as they pass.

Spaces take its place, so that the length stays what the request's head says. What is no plain JSON passes untouched
from there on: Elasticsearch will say what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_OURS: Final[Mapping[str, Any]] = {"ext": {"rescore": None}}
# Where it may stand in a search, a template, a `_rank_eval`; elements of an array are where the array is.
_PLACES: Final[Mapping[str, Any]] = {
    **_OURS,
    "source": _OURS,
    "requests": {"request": _OURS},
    "templates": {"template": {"source": _OURS}},
}
_ELSEWHERE: Final[Mapping[str, Any]] = {}
_SPACE = rb"[ \t\r\n]*+"
_SPACES = re.compile(rb"[ \t\r\n]++")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_MEMBER = re.compile(_SPACE + rb"(,?+)" + _SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_BETWEEN = re.compile(_SPACE + rb",?+" + _SPACE)
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_IN_VALUE = re.compile(rb'[^"{}\[\]/]*+')
_SCALAR = re.compile(rb"[-+.\w]++")
_CLOSING: Final = {b"{": b"}", b"[": b"]"}
_LONGEST: Final = 4096
"""Bytes of a token that are waited for; a name of ours, spelt in escapes, has 44."""


@dataclass(slots=True)
class _Open:
    """An object or array on the way to a place: which names below it lead there, and whether a member was kept."""

    closing: bytes
    names: Mapping[str, Any]
    kept: bool = False


class OverrideStream:
    """One body. ``feed`` it piece by piece; what comes back can be sent. ``end`` returns the rest."""

    def __init__(self) -> None:
        self._text = b""
        self._out = bytearray()
        self._at = 0  # up to here all is decided
        self._open: list[_Open] = []
        self._names: Mapping[str, Any] | None = None  # below the value that comes next, None where none does
        self._taken_out = False  # whether that value is ours
        self._depth = 0  # of brackets inside a value that is passed over
        self._in_string = False
        self._untouched = False

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece."""
        self._text += piece
        self._out = bytearray(self._text)
        self._at = 0
        while not self._untouched and self._step():
            pass
        done = len(self._text) if self._untouched else self._at
        self._text = self._text[done:]
        return bytes(self._out[:done])

    def end(self) -> bytes:
        """Return what was waited with."""
        return self._text

    def _step(self) -> bool:
        """Pass a token over; return whether there was one, and all of it."""
        if self._at == len(self._text):
            return False
        if self._in_string:
            return self._string()
        if self._depth:
            return self._nested()
        if self._names is not None:
            return self._value()
        if self._open and self._open[-1].closing == b"}":
            return self._member()
        return self._element()

    def _unclear(self) -> bool:
        """Wait for the rest of a token, unless this is none, or an endless one."""
        self._untouched = len(self._text) - self._at > _LONGEST
        return False

    def _pass(self, end: int) -> bool:
        """Decide on what comes next up to ``end``."""
        if self._taken_out:
            self._out[self._at : end] = b" " * (end - self._at)
        self._at = end
        if not (self._depth or self._in_string):
            self._taken_out = False
        return True

    def _string(self) -> bool:
        found = _IN_STRING.match(self._text, self._at)
        end = self._at if found is None else found.end()
        self._in_string = self._text[end : end + 1] != b'"'
        if not self._in_string:
            return self._pass(end + 1)
        self._pass(end)  # what is left is half an escape, if anything
        return False

    def _nested(self) -> bool:
        found = _IN_VALUE.match(self._text, self._at)
        end = self._at if found is None else found.end()
        token = self._text[end : end + 1]
        if token == b"/":  # a comment: Elasticsearch may read it, and quotes in it open no string
            self._untouched = True
            return False
        self._in_string = token == b'"'
        self._depth += (token in _CLOSING) - (token in (b"}", b"]"))
        return self._pass(end + len(token))

    def _value(self) -> bool:
        space = _SPACES.match(self._text, self._at)
        if space is not None:  # a piece ended before it
            self._at = space.end()
            return True
        token = self._text[self._at : self._at + 1]
        if token in _CLOSING and self._names:
            self._open.append(_Open(_CLOSING[token], self._names))
            self._names = None
            return self._pass(self._at + 1)
        if token in _CLOSING or token == b'"':
            self._names = None
            self._in_string, self._depth = token == b'"', int(token in _CLOSING)
            return self._pass(self._at + 1)
        found = _SCALAR.match(self._text, self._at)
        if found is None or found.end() == len(self._text):
            self._untouched = found is None
            return not self._untouched and self._unclear()
        self._names = None
        return self._pass(found.end())

    def _member(self) -> bool:
        found = _MEMBER.match(self._text, self._at)
        if found is None:
            return self._closed()
        holder = self._open[-1]
        try:
            name = json.loads(found[2])
        except ValueError:
            name = ""
        self._names = holder.names.get(name, _ELSEWHERE)
        if self._names is None:
            self._names, self._taken_out = _ELSEWHERE, True
            self._out[self._at : found.end()] = b" " * (found.end() - self._at)
        elif not holder.kept:
            self._out[found.start(1) : found.end(1)] = b" " * len(found[1])
            holder.kept = True
        self._at = found.end()
        return True

    def _closed(self) -> bool:
        """Leave an object or array at its end."""
        found = _BETWEEN.match(self._text, self._at)
        end = self._at if found is None else found.end()
        if self._text[end : end + 1] != self._open[-1].closing:
            return self._unclear()
        self._open.pop()
        return self._pass(end + 1)

    def _element(self) -> bool:
        """Go on to the next element of an array, or to the next of several searches."""
        found = _BETWEEN.match(self._text, self._at)
        end = self._at if found is None else found.end()
        if end == len(self._text):
            return self._unclear()
        if self._open and self._text[end : end + 1] == self._open[-1].closing:
            return self._closed()
        if not self._open and self._text[end : end + 1] != b"{":
            self._untouched = True
            return False
        self._names = self._open[-1].names if self._open else _PLACES
        return self._pass(end)
