"""Query strings: this syntax in, exactly these words out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.search.query_string import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quick brown", "quick brown"),
        ("+quick -slow fox", "quick fox"),
        ("title:fox body:(red dog)", "fox red dog"),
        ('title:"red fox"~3^2 dog^4 cat~ cow~2', "red fox dog cat cow"),
        ("NOT bad good", "good"),
        ("good AND NOT bad", "good"),
        ("a AND b OR c && d || e", "a b c d e"),
        ("(new york city) OR (big apple)", "new york city big apple"),
        ("age:[1 TO 5] fox", "fox"),
        ("date:{2012-01-01 TO *} fox", "fox"),
        ("age:>=10 fox", "fox"),
        ("age:(>=10 AND <20) fox", "fox"),
        ("_exists_:title fox", "fox"),
        ("/joh?n(ath[oa]n)/ fox", "fox"),
        ("name:/re.*/ x", "x"),
        ("qu?ck bro*", "qu ck bro"),
        ("*:*", ""),
        ("title:* fox", "fox"),
        (r"foo\:bar", "foo:bar"),
        (r"first\ name:Alice", "Alice"),
        (r"book.\*:(quick OR brown)", "quick brown"),
        (r"what \*is\?", "what *is?"),
        (r'"a \"b\" c"', 'a "b" c'),
        ('"unclosed phrase', "unclosed phrase"),
        ("c++ c# .net A&B AT&T 50% good!", "c++ c# .net A&B AT&T 50% good!"),
        ("re-ranking state-of-the-art", "re-ranking state-of-the-art"),
        ("what is this?", "what is this"),
        ('-"bad phrase" good', "good"),
        ("-(a b) good", "good"),
        ("!bad good", "good"),
        ("NOT (a OR b) AND c", "c"),
        ("title:(-a b) c", "b c"),
        ("title:(a OR b)^3 c", "a b c"),
        ("日本語 検索", "日本語 検索"),
        ("title:全文検索 -除外", "全文検索"),
        ("note: check this", "note: check this"),
        ("and or not", "and or not"),
        ("(a", "a"),
        ("a) b", "a b"),
        ("", ""),
    ],
)
def test_lucene_syntax(text: str, expected: str) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"fried eggs" +(eggplant | potato) -frittata', "fried eggs eggplant potato"),
        ("quick~2 fo* (bar)", "quick fo bar"),
        ('"red fox"~3 den', "red fox den"),
        ("title:fox AND NOT x", "title:fox AND NOT x"),
        ("http://example.com/a?b=c at 10:30", "http://example.com/a?b=c at 10:30"),
        ("is 50 [1 TO 5] /path/ c++?", "is 50 [1 TO 5] /path/ c++?"),
        ("-(a b) c", "c"),
        (r"a\-b \*", "a-b *"),
        ("東京 -大阪", "東京"),
    ],
)
def test_simple_syntax(text: str, expected: str) -> None:
    assert words(text, simple=True) == expected


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("title:fox body:dog cat", True, "fox cat"),
        ("title:fox body:dog cat", False, "fox"),
        ("body:(a title:b c) d", True, "b d"),
        ("title:(a body:b c) d", False, "a c"),
        ("body:[1 TO 2] cat", True, "cat"),
        (r"ti\tle:fox", False, "fox"),
    ],
)
def test_only_fields_that_count(text: str, default: bool, expected: str) -> None:
    assert words(text, lambda field: field == "title", default=default) == expected


@given(st.text(alphabet='ab :"()[]{}\\+-!~^*?/&|<>TONR日\n', max_size=60), st.booleans())
def test_any_text_is_read(text: str, simple: bool) -> None:
    found = words(text, simple=simple)
    assert found == " ".join(found.split())


@pytest.mark.parametrize("piece", ['"', "[a TO ", "{", "~,", "a~", "+~", "/a", "\\", "a:", "(", "-", '"\\'])
def test_time_grows_with_the_length_only(piece: str) -> None:
    started = time.process_time()
    words(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
