"""The cache that is bounded in bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache import ByteCache

EACH = 300  # 100 bytes of value, 200 of bookkeeping


def test_least_recently_used_goes_first() -> None:
    cache = ByteCache[str](3 * EACH)
    for key in (b"a", b"b", b"c"):
        cache.put(key, key.decode(), 100)
    assert cache.get(b"a") == "a"
    cache.put(b"d", "d", 100)
    assert [cache.get(key) for key in (b"a", b"b", b"c", b"d")] == ["a", None, "c", "d"]
    assert (cache.hits, cache.misses, cache.size) == (4, 1, 3 * EACH)


def test_replacing_a_value_counts_its_bytes_once() -> None:
    cache = ByteCache[str](10 * EACH)
    cache.put(b"a", "short", 100)
    cache.put(b"a", "long", 400)
    assert (cache.get(b"a"), cache.size) == ("long", 600)


def test_what_never_fits_is_not_kept_and_drops_nothing() -> None:
    cache = ByteCache[str](EACH)
    cache.put(b"a", "a", 100)
    cache.put(b"b", "b", 101)
    assert (cache.get(b"a"), cache.get(b"b")) == ("a", None)
    off = ByteCache[str](0)
    off.put(b"a", "a", 0)
    assert (off.get(b"a"), off.size) == (None, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2000))))
def test_size_is_what_is_held_and_within_the_limit(puts: list[tuple[int, int]]) -> None:
    cache = ByteCache[int](5000)
    for key, size in puts:
        cache.put(bytes([key]), size, size)
        held = [value for value in map(cache.get, (bytes([k]) for k in range(10))) if value is not None]
        assert cache.size == sum(held) + 200 * len(held)
        assert cache.size <= 5000
