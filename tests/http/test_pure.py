"""The proxy's pure parts: headers, content codings."""

from __future__ import annotations

import gzip
import os
import threading
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import bodies, content_coding
from sidecar.http.headers import decoded, end_to_end, head, lowered, one_spelling, typed_as_json, value_of, without

_OCTETS = st.binary(max_size=30).filter(lambda raw: not set(raw) & {0, 10, 13})


@given(st.lists(st.tuples(_OCTETS, _OCTETS), max_size=5))
def test_header_bytes_survive_whatever_their_encoding(raw: list[tuple[bytes, bytes]]) -> None:
    assert head("GET / HTTP/1.1", decoded(raw)) == b"".join(
        [b"GET / HTTP/1.1\r\n", *(name + b": " + value + b"\r\n" for name, value in raw), b"\r\n"]
    )


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_no_header_can_smuggle_in_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break or a null byte"):
        head("GET / HTTP/1.1", [("X", value)])


def test_end_to_end_headers() -> None:
    headers = [("Connection", "close, X-Hop"), ("connection", "Authorization"), ("X-Hop", "1"), ("TE", "trailers")]
    kept = [("Authorization", "a"), ("X-Opaque-Id", "1"), ("x-opaque-id", "2"), ("Trailers", "t")]
    assert end_to_end([*headers, *kept, ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c")]) == kept


def test_header_helpers() -> None:
    headers = [("X-A", "1"), ("x-a", "2"), ("B", "3")]
    assert one_spelling(headers) == [("X-A", "1"), ("X-A", "2"), ("B", "3")]
    assert lowered(headers) == {"x-a": "1", "b": "3"}
    assert (value_of(headers, "x-a"), value_of(headers, "c")) == ("1", None)
    assert without(headers, ["x-a"]) == [("B", "3")]


def test_a_body_of_our_own_has_a_type() -> None:
    assert typed_as_json([("A", "1"), ("content-type", "x")]) == [("A", "1"), ("Content-Type", "application/json")]
    versioned = "application/vnd.elasticsearch+json; compatible-with=8"
    assert typed_as_json([("Accept", versioned)]) == [("Accept", versioned), ("Content-Type", versioned)]


_BODY = b'{"query":{"match_all":{}}}' * 10
_wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=26)).compressobj()
_WIDE = _wide.compress(_BODY) + _wide.flush()  # asks for 64 MB to be decoded


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        (None, _BODY),
        ("identity", _BODY),
        ("gzip", gzip.compress(_BODY)),
        ("X-GZIP", gzip.compress(_BODY)),
        ("deflate", zlib.compress(_BODY)),
        ("deflate", zlib.compress(_BODY, wbits=-15)),
        ("zstd", zstandard.compress(_BODY)),
    ],
)
def test_codings(coding: str | None, encoded: bytes) -> None:
    assert content_coding.decode(encoded, coding, len(_BODY)) == _BODY
    with pytest.raises(content_coding.TooLargeError):
        content_coding.decode(encoded, coding, len(_BODY) - 1)


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(_BODY)[:-9]),
        ("zstd", b"nope"),
        ("zstd", _WIDE),
        ("br", _BODY),
        ("gzip, gzip", _BODY),
    ],
)
def test_what_cannot_be_decoded_is_said_to_be_so(coding: str, encoded: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        content_coding.decode(encoded, coding, 1 << 20)


def test_a_decompression_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    with pytest.raises(content_coding.TooLargeError):
        content_coding.decode(bomb, "gzip", 1 << 20)


_SMALL_BOMB = gzip.compress(bytes(4 << 20))  # 4 kB


@pytest.mark.parametrize(
    ("encoded", "coding", "beside"),
    [
        (gzip.compress(_BODY), "gzip", []),
        (_SMALL_BOMB, "gzip", [True]),
        (zlib.compress(bytes(4 << 20)), "deflate", [True]),
        (zstandard.compress(bytes(4 << 20)), "zstd", [True]),
        (gzip.compress(os.urandom(64 << 10)), "gzip", [True]),
    ],
)
async def test_no_more_than_a_little_is_decoded_on_the_event_loop(
    encoded: bytes, coding: str, beside: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[bool, int]] = []
    decode = content_coding.decode

    def noted(body: bytes, coding: str | None, limit: int) -> bytes:
        limits.append((threading.current_thread() is threading.main_thread(), limit))
        return decode(body, coding, limit)

    monkeypatch.setattr(content_coding, "decode", noted)
    assert await bodies.decoded(encoded, coding, 8 << 20) == decode(encoded, coding, 8 << 20)
    assert [limit for on_loop, limit in limits if not on_loop] == [8 << 20] * len(beside)
    assert all(limit <= 64 << 10 for on_loop, limit in limits if on_loop)
    with pytest.raises(content_coding.TooLargeError):
        await bodies.decoded(_SMALL_BOMB, "gzip", 1 << 20)
