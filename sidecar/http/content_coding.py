"""Decodes request and answer bodies that must be read, with a cap against decompression bombs. Pure.

Source: RFC 9110 section 8.4.1; Elasticsearch accepts gzip bodies, clients may send zstd and deflate.
"""

from __future__ import annotations

import zlib

import zstandard

_IDENTITY = ("identity", "")
_PIECE = 256 << 10
_WINDOW = 8 << 20  # RFC 8878 section 3.1.1.1.2: what every decoder should take, and none need exceed


class TooLargeError(ValueError):
    """The decoded body exceeds its cap."""


def is_identity(coding: str | None) -> bool:
    """Return whether a coding leaves bodies as they are."""
    return _kind(coding) in _IDENTITY


def _kind(coding: str | None) -> str:
    return (coding or "identity").strip().lower()


def decode(body: bytes, coding: str | None, limit: int) -> bytes:
    """Decode a body.

    Raises:
        TooLargeError: it decodes to more than ``limit`` bytes.
        ValueError: the coding is unknown, or the body is broken.
    """
    kind = _kind(coding)
    if kind in _IDENTITY:
        decoded = body
    elif kind in ("gzip", "x-gzip"):
        decoded = _inflate(body, zlib.MAX_WBITS | 16, limit)
    elif kind == "deflate":
        decoded = _inflate(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS, limit)
    elif kind == "zstd":
        decoded = _unzstd(body, limit)
    else:
        raise ValueError(f"unknown content coding {kind!r}")
    if len(decoded) > limit:
        raise TooLargeError(f"more than {limit} bytes")
    return decoded


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(bits)
    try:
        decoded = inflater.decompress(body, limit + 1)
    except zlib.error as problem:
        raise ValueError(str(problem)) from problem
    if not inflater.eof and len(decoded) <= limit:
        raise ValueError("the body is truncated")
    return decoded


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(body) as reader:
            pieces, size = list[bytes](), 0
            while size <= limit and (piece := reader.read(min(_PIECE, limit + 1 - size))):
                pieces.append(piece)
                size += len(piece)
            return b"".join(pieces)
    except zstandard.ZstdError as problem:
        raise ValueError(str(problem)) from problem
